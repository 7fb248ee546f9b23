//! What posix_spawn(3) needs to execute an open file in a session of its own.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Has the process lead a session.
pub(crate) const SETSID: libc::c_int = libc::POSIX_SPAWN_SETSID as libc::c_int;

/// Every descriptor of ours is close-on-exec.
pub(crate) const FLAGS: libc::c_short = 0;

/// A path to this very file, whatever its name stands for by now.
pub(crate) fn path_of(program: BorrowedFd<'_>) -> io::Result<CString> {
    Ok(CString::new(format!(
        "/proc/self/fd/{}",
        program.as_raw_fd()
    ))?)
}
