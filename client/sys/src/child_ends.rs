//! The ends of children as something to poll, for a process of one thread.

use crate::platform::child_ends as platform;
use crate::signals;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Readable when children have ended since it was last read.
#[derive(Debug)]
pub struct ChildEnds(platform::Ends);

impl ChildEnds {
    /// From here on the ends of children are read, not signalled: SIGCHLD is blocked on Linux. What is
    /// executed after that inherits it so.
    ///
    /// # Errors
    /// As signalfd(2) or kqueue(2).
    pub fn watch() -> io::Result<Self> {
        if signals::is_ignored(Signal::SIGCHLD as i32) {
            // Ignored, the system would reap the children and forget how they ended.
            signals::set_default(Signal::SIGCHLD)?;
        }
        platform::watch().map(Self)
    }

    /// Takes what is there to be read: `seen` is called at least once when there is anything, with the
    /// pid of a child where the system tells one. Others may have ended besides.
    pub fn read(&self, seen: impl FnMut(Option<i32>)) {
        platform::read(&self.0, seen);
    }
}

impl AsFd for ChildEnds {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
