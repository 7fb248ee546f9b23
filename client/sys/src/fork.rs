//! fork, only where it is sound.

use crate::threads::{self, ManyThreads};
use std::io;

/// Which side of the fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The parent, with the child's pid. The pid can't be recycled before the parent waits for it.
    Parent(i32),
    /// The child.
    Child,
}

/// Why there was no fork.
#[derive(Debug)]
pub enum ForkError {
    /// There are other threads, whose locks a child would never see released.
    Threads(ManyThreads),
    /// The system refused.
    System(io::Error),
}

/// Forks this process, which must have one thread.
///
/// # Errors
/// When there are other threads, or the system refuses.
pub fn fork() -> Result<Forked, ForkError> {
    threads::expect_single().map_err(ForkError::Threads)?;
    // SAFETY: there is one thread, checked above, so the child finds every lock in the state the
    // calling thread sees and may run any code.
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Parent { child }) => Ok(Forked::Parent(child.as_raw())),
        Ok(nix::unistd::ForkResult::Child) => Ok(Forked::Child),
        Err(errno) => Err(ForkError::System(errno.into())),
    }
}
