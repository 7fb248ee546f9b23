//! The ends of children: a kqueue that counts SIGCHLD, which the process need not block.

use super::queue;
use rustix::event::kqueue::{EventFilter, EventFlags};
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

pub(crate) type Ends = OwnedFd;

pub(crate) fn watch() -> io::Result<Ends> {
    let queue = queue::new()?;
    let filter = EventFilter::Signal {
        signal: Signal::CHILD,
        times: 0,
    };
    queue::add(queue.as_fd(), filter, EventFlags::ADD | EventFlags::CLEAR)?;
    Ok(queue)
}

/// The system counts the signals and does not tell whose they were.
pub(crate) fn read(ends: &Ends, mut seen: impl FnMut(Option<i32>)) {
    let mut events = Vec::with_capacity(1);
    if queue::take(ends, &mut events).is_ok() && !events.is_empty() {
        seen(None);
    }
}
