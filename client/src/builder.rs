//! Processes and commands before they are started.

use crate::api::{StartState, Task};
use crate::context::Context;
use crate::error::Error;
use crate::options::{Options, option_methods};
use crate::process::{Described, Process};
use crate::worker::Place;
use std::ffi::{OsStr, OsString};

/// A process that is not started yet. Made by [`Context::process`]. Mirrors `multiprocessing.Process`, before
/// its `start()`.
#[derive(Debug)]
#[must_use]
pub struct ProcessBuilder {
    options: Options,
    work: Result<(Context, Task), Error>,
}

impl ProcessBuilder {
    pub(crate) fn new(context: Context, task: Result<Task, Error>) -> Self {
        let state = match &task {
            Ok(Task::Main { .. }) => StartState::capture_for_command(),
            _ => StartState::capture(),
        };
        Self {
            options: Options::new(state),
            work: task.map(|task| (context, task)),
        }
    }

    /// One that can't be started, which starting it tells.
    pub(crate) fn failed(error: Error) -> Self {
        Self {
            options: Options::new(StartState::default()),
            work: Err(error),
        }
    }

    option_methods!();

    /// Starts it. Mirrors `start` of `multiprocessing.Process`.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], but by `fork`; [`Error::Daemonic`] in a process with the daemon flag; [`Error::Encode`];
    /// [`Error::NoServer`] where mpforkd is demanded; by `fork` [`Error::HasThreads`] and
    /// [`Error::Unsupported`]. Whatever else keeps a worker from being started, a preload that failed
    /// included, is [`Error::Server`], by whichever start method and server.
    pub fn start(self) -> Result<Process, Error> {
        self.described()?.start_blocking()
    }

    /// Starts it, from async code. Once the request is on its way, dropping the future does not take
    /// it back. Python has no async form.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_async(self) -> Result<Process, Error> {
        self.described()?.start().await
    }

    fn described(self) -> Result<Described, Error> {
        let (context, task) = self.work?;
        crate::freeze::check_for(context.start_method())?;
        Described::new(context, self.options, Place::OwnTemplate, task)
    }
}

/// A command that is not started yet: a program, with its arguments. Made by [`Context::command`]; like
/// [`std::process::Command`]. In Python that is `subprocess.Popen`.
#[derive(Debug)]
#[must_use]
pub struct CommandBuilder {
    context: Result<Context, Error>,
    options: Options,
    program: OsString,
    args: Vec<OsString>,
    arg0: Option<OsString>,
}

impl CommandBuilder {
    pub(crate) fn new(context: Result<Context, Error>, program: OsString) -> Self {
        Self {
            context,
            options: Options::new(StartState::capture_for_command()),
            program,
            args: Vec::new(),
            arg0: None,
        }
    }

    /// Adds an argument. Mirrors an element of `args` of `subprocess.Popen`.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments. Mirrors `args` of `subprocess.Popen`.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets the program's name as the program sees it: with `executable` of `subprocess.Popen` that is the
    /// first of `args`.
    pub fn arg0(mut self, name: impl AsRef<OsStr>) -> Self {
        self.arg0 = Some(name.as_ref().to_owned());
        self
    }

    option_methods!();

    /// Starts it; it returns once the program is being executed. Mirrors making a `subprocess.Popen`.
    ///
    /// # Errors
    /// [`Error::Server`] when the program can't be executed, with the reason
    /// [`ExecFailed`](crate::Reason::ExecFailed), and otherwise as [`ProcessBuilder::start`]. A program
    /// that has not called [`freeze_support`](crate::freeze_support) may start commands by `fork` and by
    /// mpforkd.
    pub fn start(self) -> Result<Process, Error> {
        self.described()?.start_blocking()
    }

    /// Starts it, from async code. Once the request is on its way, dropping the future does not take
    /// it back. Python has no async form.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_async(self) -> Result<Process, Error> {
        self.described()?.start().await
    }

    fn described(self) -> Result<Described, Error> {
        let task = Task::Command {
            program: self.program,
            args: self.args,
            arg0: self.arg0,
        };
        let place = Place::Template(mpfork_proto::BUILTIN_TEMPLATE.into());
        Described::new(self.context?, self.options, place, task)
    }
}
