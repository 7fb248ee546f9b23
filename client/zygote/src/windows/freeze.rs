//! The door of a program that was executed as a worker.

use super::worker;
use mpfork_proto::link::WORKER_ENV;
use mpfork_sys::handles::adopt_pipe;
use mpfork_sys::threads::ManyThreads;
use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A program that was started as any other.
    Ordinary,
    /// A worker that is to go on with the program's `main`.
    WorkerMain,
}

/// The process can't become what it was started to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// There are other threads. Nothing forks on this platform, so it is never the cause here.
    #[error("freeze_support() must be called before threads are started: {0}")]
    Threads(#[from] ManyThreads),
}

static CALLED: AtomicBool = AtomicBool::new(false);
static ROLE: OnceLock<Role> = OnceLock::new();

/// To be called first thing in `main`, by every program that starts workers of its own.
///
/// In a program that was started as any other it only notes that it was called. In a process that was
/// executed as a worker it runs the worker's function and does not return, or returns
/// [`Role::WorkerMain`] when the worker is to go on with `main`.
///
/// # Errors
/// None on this platform.
pub fn freeze_support() -> Result<Role, FreezeError> {
    CALLED.store(true, Ordering::Release);
    if let Some(role) = ROLE.get() {
        return Ok(*role);
    }
    let pipes = mpfork_sys::env::take(WORKER_ENV)?
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
        .and_then(pipes);
    let role = match pipes {
        None => Role::Ordinary,
        Some((assignment, reports)) => {
            worker::become_worker(assignment, reports);
            Role::WorkerMain
        }
    };
    Ok(*ROLE.get_or_init(|| role))
}

/// Whether [`freeze_support`] was called in this process.
#[must_use]
pub fn was_called() -> bool {
    CALLED.load(Ordering::Acquire)
}

/// The two pipes that a variable names, when they are such. One that names anything else was meant for
/// another process.
fn pipes(numbers: &str) -> Option<(File, File)> {
    let (assignment, reports) = numbers.split_once(':')?;
    let (assignment, reports) = (assignment.parse().ok()?, reports.parse().ok()?);
    if assignment == reports {
        return None;
    }
    Some((adopt_pipe(assignment)?.into(), adopt_pipe(reports)?.into()))
}
