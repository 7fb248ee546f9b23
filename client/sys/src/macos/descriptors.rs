//! Descriptors by number.

use super::libproc;
use rustix::fs::OFlags;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// It must be readable.
pub(crate) const ENTER: OFlags = OFlags::RDONLY;

pub(crate) fn device(status: &libc::stat) -> u64 {
    status.st_dev.cast_unsigned().into()
}

pub(crate) fn is_unix_socket(number: RawFd) -> bool {
    let mut address = std::mem::MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let Ok(mut length) = libc::socklen_t::try_from(size_of_val(&address)) else {
        return false;
    };
    // SAFETY: address and length are ours, outlive the call, and length is address's size.
    let result = unsafe { libc::getsockname(number, address.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: a structure of integers, zeroed before the call filled it.
    let address = unsafe { address.assume_init() };
    result == 0 && libc::c_int::from(address.ss_family) == libc::AF_UNIX
}

pub(crate) fn open_numbers() -> io::Result<Vec<RawFd>> {
    let mut numbers: Vec<RawFd> = libproc::descriptors()?
        .into_iter()
        .map(|info| info.proc_fd)
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn describe(number: RawFd) -> String {
    const KINDS: [(u32, &str); 6] = [
        (1, "file"),
        (2, "socket"),
        (3, "shared memory"),
        (4, "semaphore"),
        (5, "kqueue"),
        (6, "pipe"),
    ];
    let known = libproc::descriptors().unwrap_or_default();
    let Some(info) = known.into_iter().find(|info| info.proc_fd == number) else {
        return String::new();
    };
    KINDS
        .iter()
        .find(|(kind, _)| *kind == info.proc_fdtype)
        .map_or_else(String::new, |(_, name)| (*name).to_owned())
}

pub(crate) fn path_through(descriptor: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let path = rustix::fs::getpath(descriptor)?;
    Ok(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

/// False: there is no such call.
pub(crate) fn mark_range(_first: RawFd) -> bool {
    false
}

/// False: there is no such call.
pub(crate) fn close_range(_first: RawFd, _last: RawFd) -> bool {
    false
}
