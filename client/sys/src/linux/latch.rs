//! A latch is a counter: eventfd(2).

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// More than anybody takes by reading, each time 1; and the most there is.
const MANY: u64 = u64::MAX - 1;

pub(crate) fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)?)
}

pub(crate) fn release(latch: BorrowedFd<'_>) -> io::Result<()> {
    // Can't block: nothing was added before.
    rustix::io::retry_on_intr(|| rustix::io::write(latch, &MANY.to_ne_bytes()))?;
    Ok(())
}
