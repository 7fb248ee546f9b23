//! The door between the two worlds: a program that was executed as a zygote does not get past it.

use crate::{serve, worker};
use mpfork_proto::link::{LINK_ENV, WORKER_ENV};
use mpfork_sys::descriptors::adopt_named;
use mpfork_sys::threads::ManyThreads;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// A program that was started as any other.
    Ordinary,
    /// A worker that is to go on with the program's `main`, with arguments of its own:
    /// [`args_os`](crate::args_os).
    WorkerMain,
}

/// The process can't become the zygote it was started to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// There are other threads: `freeze_support` was not called first thing in `main`.
    #[error("freeze_support() must be called before threads are started: {0}")]
    Threads(#[from] ManyThreads),
}

static CALLED: AtomicBool = AtomicBool::new(false);
static ROLE: OnceLock<Role> = OnceLock::new();

/// To be called first thing in `main`, by every program that starts workers of its own.
///
/// In a program that was started as any other it only notes that it was called. In a process that was
/// executed as a zygote it does not return: it loads the preloads, serves the supervisor and forks
/// workers. In a worker that was asked to go on with `main` it returns [`Role::WorkerMain`].
///
/// # Errors
/// When the process is to be a zygote and has threads already.
pub fn freeze_support() -> Result<Role, FreezeError> {
    enter(serve::Tasks::All)
}

/// As [`freeze_support`], for `mpforkd`, whose zygotes run commands and nothing of its own.
///
/// # Errors
/// When the process is to be a zygote and has threads already.
pub fn serve_if_asked() -> Result<(), FreezeError> {
    enter(serve::Tasks::Commands).map(drop)
}

/// Whether [`freeze_support`] was called in this process or in the zygote it was forked from.
#[must_use]
pub fn was_called() -> bool {
    CALLED.load(Ordering::Acquire)
}

fn enter(tasks: serve::Tasks) -> Result<Role, FreezeError> {
    mpfork_sys::marker::keep();
    CALLED.store(true, Ordering::Release);
    if let Some(role) = ROLE.get() {
        return Ok(*role);
    }
    let role = match socket_of(LINK_ENV, serve::refuse)? {
        Some(link) => {
            // Whatever it says, it is not for this process.
            let _ = mpfork_sys::env::take(WORKER_ENV);
            // By now malloc has read it. There is one thread: the link was found.
            let _ = mpfork_sys::malloc_tunables::restore();
            serve::serve(link, tasks);
            Role::WorkerMain
        }
        None => match socket_of(WORKER_ENV, worker::refuse)? {
            Some(control) => {
                worker::become_worker(worker::executed(control, tasks));
                Role::WorkerMain
            }
            None => Role::Ordinary,
        },
    };
    Ok(*ROLE.get_or_init(|| role))
}

/// The socket that a variable names, when the process was started with one. A variable that names
/// anything else was meant for another process. Who started this one to be what it can't become is told.
fn socket_of(
    variable: &str,
    refuse: fn(BorrowedFd<'_>, &ManyThreads),
) -> Result<Option<OwnedFd>, FreezeError> {
    match mpfork_sys::env::take(variable) {
        Ok(value) => Ok(value.and_then(|value| adopt_named(&value))),
        Err(threads) => {
            let socket = std::env::var_os(variable);
            if let Some(socket) = socket.and_then(|value| adopt_named(&value)) {
                refuse(socket.as_fd(), &threads);
                return Err(threads.into());
            }
            Ok(None)
        }
    }
}
