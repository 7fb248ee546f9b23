//! Calls whose result is waited for.

use crate::error::{Error, WorkerError};
use crate::exit::{Exit, FailureKind};
use crate::process::Process;
use crate::runtime::block_on;
use crate::{call, parcel};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A call that runs in a worker. Made by [`Context::spawn`](crate::Context::spawn); like
/// [`std::thread::JoinHandle`], with a process.
///
/// Mirrors `multiprocessing.pool.AsyncResult`. Dropping it leaves the worker running; its result is then
/// lost.
pub struct Handle<T> {
    process: Process,
    channel: UnixStream,
    typed: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.show(f, "Handle")
    }
}

impl<T: DeserializeOwned> Handle<T> {
    pub(crate) fn new(process: Process, channel: UnixStream, typed: bool) -> Self {
        Self {
            process,
            channel,
            typed,
            value: PhantomData,
        }
    }

    /// Waits for the result. Mirrors `get` of `AsyncResult`.
    ///
    /// # Errors
    /// [`Error::Worker`] when the function panicked, returned an error, or its worker was killed or
    /// ended early; [`Error::Decode`]; [`Error::ServerLost`] when mpforkd went away meanwhile.
    pub fn join(mut self) -> Result<T, Error> {
        block_on(self.process.join_async()).and_then(|exit| self.result(exit))
    }

    /// Waits for the result no longer than `timeout`; `None` when it is not there then. Once it has
    /// answered, a further call finds no result. Mirrors `get(timeout)` of `AsyncResult`.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<T>, Error> {
        match self.process.join(Some(timeout))? {
            Some(exit) => self.result(exit).map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the result, from async code. Python has no async form.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_async(mut self) -> Result<T, Error> {
        let exit = self.process.join_async().await?;
        self.result(exit)
    }

    /// The process. Python does not tell which one of a pool it is.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, for waiting on it; not in Python.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    fn result(&self, exit: Exit) -> Result<T, Error> {
        let failure = exit.failure();
        let failed_typed = self.typed
            && failure
                .as_ref()
                .is_some_and(|failure| failure.kind == FailureKind::Error);
        let usable = exit.success() || failed_typed;
        match call::result(&self.channel)? {
            Some(parcel) if usable => {
                parcel::unpack(parcel).map_err(|error| Error::Decode(error.to_string()))
            }
            _ => Err(Box::new(WorkerError { exit, failure }).into()),
        }
    }
}
