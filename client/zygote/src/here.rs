//! Start method `fork`: the calling process forks, and the child becomes a worker as any zygote's does.

use crate::registry::hook;
use crate::registry::{HookError, OrderError};
use crate::serve::Tasks;
use crate::worker::{self, Born, Kept};
use mpfork_sys::fork::{
    DespiteThreads, ForkError, Forked, fork, fork_beside_sleeping_main, fork_despite_threads,
};
use mpfork_sys::threads;
use std::os::fd::OwnedFd;

/// Why the calling process did not fork.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkHereError {
    /// There are other threads, or the system refused.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The hooks contradict each other.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Where the forking thread stands, which is all the child has of the threads there are.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Forking {
    /// It is the only one.
    Alone,
    /// It was made for this, and the main thread, the only other one, waits for it: so that the child
    /// is not in the middle of what the main thread does.
    BesideMain,
    /// Somebody has taken the responsibility for whatever the others do.
    DespiteThreads(DespiteThreads),
}

/// Checks that this is the only thread.
///
/// # Errors
/// With the names of the others.
pub fn expect_alone() -> Result<(), ForkHereError> {
    threads::expect_single().map_err(|threads| ForkError::Threads(threads).into())
}

/// Forks the calling process; returns the child's pid. The child takes its assignment from this socket
/// and never returns: it must not be asked to go on with `main`. It is killed when this process ends
/// before it, unless it is to be kept.
///
/// # Errors
/// When a before-fork hook fails, this process has other threads for which nobody takes the
/// responsibility, or the system refuses.
pub fn fork_here(control: OwnedFd, keep: bool, forking: Forking) -> Result<i32, ForkHereError> {
    let hooks = hook::all()?;
    for hook in &hooks.before_fork {
        hook::run(hook)?;
    }
    // What is buffered would be written by the child once more.
    worker::flush();
    let zygote_group = nix::unistd::getpgrp();
    let parent = rustix::process::getpid();
    let forked = match forking {
        Forking::Alone => fork(),
        Forking::BesideMain => fork_beside_sleeping_main(),
        Forking::DespiteThreads(responsible) => fork_despite_threads(responsible),
    };
    match forked? {
        Forked::Parent(pid) => {
            let process = rustix::process::Pid::from_raw(pid);
            // The child does so too; whoever comes first.
            let _ = rustix::process::setpgid(process, process);
            Ok(pid)
        }
        Forked::Child => {
            if !keep {
                // Where the system offers nothing, it goes on after the parent's end.
                let _ = mpfork_sys::own_process::die_with_parent(true);
                if rustix::process::getppid() != Some(parent) {
                    mpfork_sys::exit::exit_now(1);
                }
            }
            worker::become_worker(Born {
                control,
                door: None,
                kept: Kept::All,
                tasks: Tasks::All,
                zygote_group,
                hooks,
                spare: false,
            });
            // Only a worker that goes on with `main` comes here, which is not asked of this one.
            mpfork_sys::exit::exit_now(1)
        }
    }
}
