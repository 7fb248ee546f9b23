//! A sentinel is a pidfd.

use crate::platform::pidfd;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) use pidfd::{exit_status, of_peer, open, signal_group};

pub(crate) const PASSES: bool = true;

pub(crate) fn of_news(_pid: i32, passed: Option<OwnedFd>) -> io::Result<OwnedFd> {
    passed.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether it is a child of this process that has ended and was not waited for.
pub(crate) fn is_ended_child(_pid: i32, sentinel: BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::PidFd(sentinel), peek)?.is_some())
}

pub(crate) fn signal(_pid: i32, sentinel: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    pidfd::signal(sentinel, signal)
}
