//! The crate's own runtime, which only callers drive, so that it adds no thread; and the sessions of
//! this process. Both belong to one process: a forked child forgets them.

use crate::embedded::Servers;
use crate::error::Error;
use crate::session::Sessions;
use crate::standard;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};

/// What one process has.
#[derive(Debug)]
pub(crate) struct State {
    pid: u32,
    own: OnceLock<Runtime>,
    pub(crate) sessions: Sessions,
    pub(crate) servers: Servers,
}

static STATE: Mutex<Option<Arc<State>>> = Mutex::new(None);

impl State {
    /// This process's.
    pub(crate) fn current() -> Arc<Self> {
        let pid = std::process::id();
        let mut current = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &*current
            && state.pid == pid
        {
            return Arc::clone(state);
        }
        let state = Arc::new(Self {
            pid,
            own: OnceLock::new(),
            sessions: Sessions::default(),
            servers: Servers::default(),
        });
        // The parent still uses the sockets and the poll set behind it: forgotten, not dropped.
        std::mem::forget(current.replace(Arc::clone(&state)));
        state
    }

    /// The crate's own runtime.
    pub(crate) fn own(&self) -> Result<&Runtime, Error> {
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let _held = standard::hold();
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::system("making a runtime", error))?;
        // Another thread may have been faster.
        Ok(self.own.get_or_init(|| runtime))
    }
}

/// Drives a future of this crate to its end from ordinary code, and from async code too, whose thread
/// it then blocks.
///
/// # Errors
/// Those of the future, and when no runtime could be made. Inside a future that is itself driven by
/// this function it is an error, as it would never end.
pub fn block_on<T: Send>(
    future: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let state = State::current();
    let own = state.own()?;
    match Handle::try_current() {
        Err(_) => own.block_on(future),
        Ok(handle) if handle.id() == own.handle().id() => Err(Error::Unsupported {
            what: "a blocking call within mpfork's own runtime".to_owned(),
            why: "it would wait for itself: await the async form instead",
        }),
        // A runtime's thread must not drive another runtime, so a thread is lent to it.
        Ok(_) => std::thread::scope(|scope| {
            let thread = scope.spawn(|| own.block_on(future));
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_blocks_in_and_outside_of_other_runtimes() {
        assert_eq!(block_on(async { Ok(1) }).unwrap(), 1);
        let other = Builder::new_current_thread().build().unwrap();
        let inside = other.block_on(async { block_on(async { Ok(2) }) });
        assert_eq!(inside.unwrap(), 2);
        let within = block_on(async { block_on(async { Ok(3) }) });
        assert!(matches!(within, Err(Error::Unsupported { .. })));
    }

    #[test]
    fn threads_share_it() {
        std::thread::scope(|scope| {
            for n in 0..8u32 {
                scope.spawn(move || {
                    for _ in 0..100 {
                        let result = block_on(async move {
                            tokio::task::yield_now().await;
                            Ok(n)
                        });
                        assert_eq!(result.unwrap(), n);
                    }
                });
            }
        });
    }
}
