//! Descriptors by number.

use crate::descriptors::option;
use rustix::fs::OFlags;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::path::PathBuf;

/// No more than the right to enter is needed.
pub(crate) const ENTER: OFlags = OFlags::PATH;

pub(crate) fn device(status: &libc::stat) -> u64 {
    status.st_dev
}

pub(crate) fn is_unix_socket(number: RawFd) -> bool {
    option(number, libc::SOL_SOCKET, libc::SO_DOMAIN) == Some(libc::AF_UNIX)
}

pub(crate) fn open_numbers() -> io::Result<Vec<RawFd>> {
    let directory = rustix::fs::open(
        "/proc/self/fd",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let own = directory.as_raw_fd();
    let mut numbers: Vec<RawFd> = rustix::fs::Dir::new(directory)?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
        .filter(|number| *number != own)
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn describe(number: RawFd) -> String {
    std::fs::read_link(format!("/proc/self/fd/{number}"))
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[allow(clippy::unnecessary_wraps)] // other systems may not tell
pub(crate) fn path_through(descriptor: BorrowedFd<'_>) -> io::Result<PathBuf> {
    Ok(format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into())
}

/// Makes every descriptor from this number on close-on-exec; false when an old kernel or a filter
/// refuses it.
pub(crate) fn mark_range(first: RawFd) -> bool {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: close_range takes three numbers, and with this flag closes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            RawFd::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
    result == 0
}

/// Closes what is open from one number to another; false when an old kernel or a filter refuses it.
///
/// For [`crate::descriptors::close_all_but`] alone, whose contract it needs.
pub(crate) fn close_range(first: RawFd, last: RawFd) -> bool {
    // SAFETY: close_range takes three numbers; nothing uses these descriptors any more, by contract.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    result == 0
}
