//! fork, only where it is sound.

use crate::platform::fork as platform;
use crate::threads::{self, ManyThreads};
use std::io;
use std::time::Duration;

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

impl std::fmt::Display for ForkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Threads(threads) => threads.fmt(f),
            Self::System(error) => write!(f, "fork: {error}"),
        }
    }
}

impl std::error::Error for ForkError {}

/// Forks beside the main thread, which must be asleep, and be the only other thread: how a test harness
/// waits for the test that the calling thread runs. The child has the calling thread only.
///
/// # Errors
/// When there are yet other threads, the main thread does not fall asleep, or the system refuses.
pub fn fork_beside_sleeping_main() -> Result<Forked, ForkError> {
    threads::expect_sleeping_main().map_err(ForkError::Threads)?;
    // SAFETY: the only other thread sleeps, so nothing is half changed by it; libc brings the locks of
    // its own allocator into order. Should it sleep with a lock of another kind held, a child that
    // needs that lock waits for ever, which is no undefined behaviour. A test harness holds none: it
    // waits for its test.
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Parent { child }) => Ok(Forked::Parent(child.as_raw())),
        Ok(nix::unistd::ForkResult::Child) => Ok(Forked::Child),
        Err(errno) => Err(ForkError::System(errno.into())),
    }
}

/// Somebody has taken the responsibility for forking a process with threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DespiteThreads(());

impl DespiteThreads {
    /// Takes the responsibility.
    ///
    /// # Safety
    /// In a child of a process with threads only the forking one lives on. What the others had locked
    /// stays locked, what they were changing stays half changed. The caller vouches that whatever the
    /// child runs meets none of it: functions, hooks and arguments of every worker that is forked by
    /// this token, and the allocator.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

/// Forks this process, which may have threads. The child has the calling thread only.
///
/// # Errors
/// When the system refuses.
pub fn fork_despite_threads(_responsible: DespiteThreads) -> Result<Forked, ForkError> {
    // SAFETY: whoever made the token has vouched that the child meets nothing half changed or locked.
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Parent { child }) => Ok(Forked::Parent(child.as_raw())),
        Ok(nix::unistd::ForkResult::Child) => Ok(Forked::Child),
        Err(errno) => Err(ForkError::System(errno.into())),
    }
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

/// Forks this process for nothing and tells what the fork itself took: the child ends at once, no handler
/// of forks runs on either side, and no signal tells of the child's end.
///
/// # Errors
/// When there are other threads, or the system refuses; of kind [`io::ErrorKind::Unsupported`] on a platform
/// that offers nothing of the kind.
pub fn try_out() -> Result<Duration, ForkError> {
    threads::expect_single().map_err(ForkError::Threads)?;
    platform::try_out().map_err(ForkError::System)
}
