//! Describing processes before they start.

use crate::api::OnOwnerDeath;
use crate::context::Context;
use crate::error::Error;
use crate::options::{Options, Stdio};
use crate::process::Process;
use crate::worker::Task;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

/// A process that is not started yet. Made by [`Context::process`](crate::Context::process).
#[derive(Debug)]
#[must_use]
pub struct ProcessBuilder {
    options: Options,
    task: Result<Task, Error>,
}

/// A command that is not started yet. Made by [`Context::command`](crate::Context::command).
#[derive(Debug)]
#[must_use]
pub struct CommandBuilder {
    context: Result<Context, Error>,
    program: OsString,
}

impl CommandBuilder {
    pub(crate) fn new(context: Result<Context, Error>, program: OsString) -> Self {
        Self { context, program }
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Unsupported`]: this version has no commands on Windows, where
    /// [`std::process::Command`] starts them.
    pub fn start(self) -> Result<Process, Error> {
        self.context?;
        Err(Error::Unsupported {
            what: format!("the command {}", self.program.display()),
            why: "this version starts no commands on Windows; std::process::Command does",
        })
    }
}

impl ProcessBuilder {
    pub(crate) fn new(task: Result<Task, Error>) -> Self {
        Self {
            options: Options::default(),
            task,
        }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self::new(Err(error))
    }

    pub(crate) fn named(mut self, name: String) -> Self {
        self.options.name = Some(name);
        self
    }

    /// Names it; shown in lists. Mirrors `name` of `multiprocessing.Process`. Up to 256 bytes.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.named(name.into())
    }

    /// Sets the daemon flag: when this program returns from `main`, it ends its daemonic processes, while
    /// it waits for others to end by themselves. A daemonic process may not start processes of its own.
    /// Mirrors `daemon` of `multiprocessing.Process`.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.options.daemon = daemon;
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let change = (
            Some(name.as_ref().to_owned()),
            Some(value.as_ref().to_owned()),
        );
        self.options.environment.push(change);
        self
    }

    /// Removes an environment variable.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        let change = (Some(name.as_ref().to_owned()), None);
        self.options.environment.push(change);
        self
    }

    /// Removes all environment variables, also those set before.
    pub fn env_clear(mut self) -> Self {
        self.options.environment.push((None, None));
        self
    }

    /// Sets the working directory.
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.options.directory = Some(path.as_ref().to_owned());
        self
    }

    /// Sets standard input.
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.options.stdio[0] = Some(stdio.into());
        self
    }

    /// Sets standard output.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.options.stdio[1] = Some(stdio.into());
        self
    }

    /// Sets standard error.
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.options.stdio[2] = Some(stdio.into());
        self
    }

    /// Sets what becomes of it when this process ends.
    pub fn on_owner_death(mut self, what: OnOwnerDeath) -> Self {
        self.options.on_owner_death = what;
        self
    }

    /// Limits its wall-clock time. This version does not have it on Windows: the start fails with
    /// [`Error::Unsupported`].
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.options.time_limit = Some(limit);
        self
    }

    /// Has it outlive this process, unlisted. This version does not have it on Windows: the start fails
    /// with [`Error::Unsupported`].
    pub fn detached(mut self) -> Self {
        self.options.detached = true;
        self
    }

    /// Starts it; it returns once the worker has begun.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], [`Error::BadProgram`], [`Error::Encode`], [`Error::Daemonic`].
    pub fn start(self) -> Result<Process, Error> {
        Process::start(self.options, self.task?)
    }

    /// As [`Self::start`], from async code: it blocks the thread until the worker has begun.
    ///
    /// # Errors
    /// As [`Self::start`].
    #[allow(clippy::unused_async)] // as on other platforms
    pub async fn start_async(self) -> Result<Process, Error> {
        self.start()
    }
}
