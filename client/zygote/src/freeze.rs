//! The door between the two worlds: a program that was executed as a zygote does not get past it.

use crate::{serve, worker};
use mpfork_proto::link::LINK_ENV;
use mpfork_sys::descriptors::adopt_socket;
use mpfork_sys::threads::ManyThreads;
use std::os::fd::{AsFd as _, OwnedFd};
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
    CALLED.store(true, Ordering::Release);
    if let Some(role) = ROLE.get() {
        return Ok(*role);
    }
    let role = match link()? {
        None => Role::Ordinary,
        Some(link) => {
            worker::become_worker(serve::serve(link, tasks));
            Role::WorkerMain
        }
    };
    Ok(*ROLE.get_or_init(|| role))
}

/// The link, when the process was started with one. A variable that names anything else was meant for
/// another process.
fn link() -> Result<Option<OwnedFd>, FreezeError> {
    let number = |value: std::ffi::OsString| value.to_str()?.parse().ok();
    match mpfork_sys::env::take(LINK_ENV) {
        Ok(value) => Ok(value.and_then(number).and_then(adopt_socket)),
        Err(threads) => {
            let link = std::env::var_os(LINK_ENV).and_then(number);
            if let Some(link) = link.and_then(adopt_socket) {
                serve::refuse(link.as_fd(), &threads);
                return Err(threads.into());
            }
            Ok(None)
        }
    }
}
