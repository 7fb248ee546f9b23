//! A latch is a kqueue with an event of its own, which can be polled and not read from.

use super::{queue, sentinel};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) fn new() -> io::Result<OwnedFd> {
    Ok(queue::new()?)
}

pub(crate) fn release(latch: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sentinel::set_off(latch)?)
}
