//! What posix_spawn(3) needs to execute an open file in a session of its own. Nothing executes a file by
//! its descriptor: it goes by path.

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

/// `POSIX_SPAWN_SETSID` of spawn.h, since macOS 10.15.
pub(crate) const SETSID: libc::c_int = 0x0400;

/// No descriptor but those that are placed.
pub(crate) const FLAGS: libc::c_short = libc::POSIX_SPAWN_CLOEXEC_DEFAULT as libc::c_short;

/// The path of this file now, when the file there is still this one: between this look and the
/// execution another may take its place.
///
/// # Errors
/// ESTALE when another file has its path by now.
pub(crate) fn path_of(program: BorrowedFd<'_>) -> io::Result<CString> {
    let path = rustix::fs::getpath(program)?;
    let opened = rustix::fs::fstat(program)?;
    let named = rustix::fs::stat(path.as_c_str())?;
    if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino) {
        return Err(rustix::io::Errno::STALE.into());
    }
    Ok(path)
}
