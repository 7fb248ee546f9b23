//! Start method `fork`: the calling process forks, and the child becomes a worker as any zygote's does.

use crate::registry::hook;
use crate::registry::{HookError, OrderError};
use crate::serve::Tasks;
use crate::worker::{self, Born, Kept};
use mpfork_sys::fork::{DespiteThreads, ForkError, Forked, fork, fork_despite_threads};
use rustix::process::Signal;
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

/// Forks the calling process; returns the child's pid. The child takes its assignment from this socket
/// and never returns: it must not be asked to go on with `main`. It is killed when this process ends
/// before it, unless it is to be kept.
///
/// # Errors
/// When a before-fork hook fails, this process has other threads for which nobody takes the
/// responsibility, or the system refuses.
pub fn fork_here(
    control: OwnedFd,
    keep: bool,
    despite_threads: Option<DespiteThreads>,
) -> Result<i32, ForkHereError> {
    let hooks = hook::all()?;
    for hook in &hooks.before_fork {
        hook::run(hook)?;
    }
    // What is buffered would be written by the child once more.
    worker::flush();
    let zygote_group = nix::unistd::getpgrp();
    let parent = rustix::process::getpid();
    let forked = match despite_threads {
        Some(responsible) => fork_despite_threads(responsible),
        None => fork(),
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
                let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
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
