//! How messages with descriptors are sent and received.

use rustix::net::{RecvFlags, SendFlags};
use std::os::fd::{BorrowedFd, OwnedFd};

/// What is received is close-on-exec from the first instant.
pub(crate) const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Without SIGPIPE.
pub(crate) fn send_flags(_socket: BorrowedFd<'_>) -> SendFlags {
    SendFlags::NOSIGNAL
}

/// Nothing is left to do.
pub(crate) fn received(_descriptor: &OwnedFd) {}
