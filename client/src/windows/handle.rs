//! Calls whose result is waited for.

use crate::codec;
use crate::error::{Error, WorkerError};
use crate::exit::{Exit, FailureKind};
use crate::process::Process;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A call that runs in a worker. Made by [`Context::spawn`](crate::Context::spawn); like
/// [`std::thread::JoinHandle`], with a process.
///
/// Dropping it leaves the worker running; its result is then lost.
pub struct Handle<T> {
    process: Process,
    typed: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.process.show(f, "Handle")
    }
}

impl<T: DeserializeOwned> Handle<T> {
    pub(crate) fn new(process: Process, typed: bool) -> Self {
        Self {
            process,
            typed,
            value: PhantomData,
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::Worker`] when the function panicked, returned an error, or its worker was killed or
    /// ended early; [`Error::Decode`].
    pub fn join(mut self) -> Result<T, Error> {
        loop {
            if let Some(exit) = self.process.join(None)? {
                return self.result(exit);
            }
        }
    }

    /// Waits for the result no longer than `timeout`; `None` when it is not there then. Once it has
    /// answered, a further call finds no result.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<T>, Error> {
        match self.process.join(Some(timeout))? {
            Some(exit) => self.result(exit).map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the result, from async code.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_async(mut self) -> Result<T, Error> {
        let exit = self.process.join_async().await?;
        self.result(exit)
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The process, for waiting on it.
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
        match self.process.take_value() {
            Some(bytes) if usable => {
                codec::decode(&bytes).map_err(|error| Error::Decode(error.to_string()))
            }
            _ => Err(Box::new(WorkerError { exit, failure }).into()),
        }
    }
}
