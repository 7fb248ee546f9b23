//! Processes by a descriptor that becomes readable, and stays so, when the process ends: on Linux a
//! pidfd, on macOS a kqueue. A pidfd stands for the process whatever becomes of its number, can be
//! passed to others and tells the exit status; a kqueue does none of this, so every call has the number
//! too.

use crate::platform::sentinel as platform;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Opens the sentinel of a child of the caller that it has not waited for, or of any process known to
/// live.
///
/// # Errors
/// ESRCH when there is no such process; as pidfd_open(2) or kqueue(2).
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    platform::open(pid)
}

/// The sentinel to pass to another process, where one can be passed.
#[must_use]
pub fn to_pass(sentinel: OwnedFd) -> Option<OwnedFd> {
    platform::PASSES.then_some(sentinel)
}

/// The sentinel of a process that another process has told of: what came with the news, or, where
/// nothing can, one opened here. There a process that is not found any more has ended, and its sentinel
/// is readable from the start.
///
/// # Errors
/// Of kind [`io::ErrorKind::NotFound`] when one should have come with the news; as [`open`].
pub fn of_news(pid: i32, passed: Option<OwnedFd>) -> io::Result<OwnedFd> {
    platform::of_news(pid, passed)
}

/// The sentinel of the process that connected a Unix socket.
///
/// # Errors
/// ENOPROTOOPT on a kernel that does not tell (Linux before 6.5), ESRCH or EINVAL when the peer has
/// ended; of kind [`io::ErrorKind::Unsupported`] where only the peer's number can be had, which may be
/// another's by now.
pub fn of_peer(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    platform::of_peer(socket)
}

/// Sends a signal to the process; 0 only checks.
///
/// On macOS the signal goes to the number, after a look whether the process has ended: who is not its
/// parent may in between hit another process of the same user.
///
/// # Errors
/// ESRCH when it has been reaped (on macOS: when it has ended), EPERM, EINVAL.
pub fn signal(pid: i32, sentinel: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    platform::signal(pid, sentinel, signal)
}

/// Sends a signal to the process group that the process leads, even after it was reaped (Linux 6.9).
///
/// # Errors
/// ESRCH when the group is empty, EINVAL on older kernels; of kind [`io::ErrorKind::Unsupported`] where
/// there is no such call.
pub fn signal_group(sentinel: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    platform::signal_group(sentinel, signal)
}

/// The raw wait status of a process that has been reaped by whomever (Linux 6.15); `None` while it
/// has not.
///
/// # Errors
/// ENOTTY or EINVAL on older kernels; of kind [`io::ErrorKind::Unsupported`] where there is no such
/// call.
pub fn exit_status(sentinel: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    platform::exit_status(sentinel)
}
