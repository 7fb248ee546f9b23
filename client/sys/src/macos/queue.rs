//! Kernel event queues: kqueue(2).

use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent, kqueue};
use rustix::io::FdFlags;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A queue, close-on-exec. A forked child does not have it.
pub(super) fn new() -> rustix::io::Result<OwnedFd> {
    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, FdFlags::CLOEXEC)?;
    Ok(queue)
}

/// Changes what is waited for.
pub(super) fn add(
    queue: BorrowedFd<'_>,
    filter: EventFilter,
    flags: EventFlags,
) -> rustix::io::Result<()> {
    let change = [Event::new(filter, flags, std::ptr::null_mut())];
    let mut none: [Event; 0] = [];
    // SAFETY: the filters name processes, signals, the queue's own events, and a descriptor that its
    // borrower holds open for longer than the queue lives.
    unsafe { kevent(queue, &change, &mut none[..], None) }.map(drop)
}

/// Takes out what has happened, at most so many, without waiting.
pub(super) fn take(queue: &OwnedFd, events: &mut Vec<Event>) -> rustix::io::Result<()> {
    let now = std::time::Duration::ZERO;
    // SAFETY: nothing is changed.
    unsafe {
        kevent(
            queue,
            &[],
            rustix::buffer::spare_capacity(events),
            Some(now),
        )
    }
    .map(drop)
}
