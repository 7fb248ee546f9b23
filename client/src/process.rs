//! Processes that were started.

use crate::context::{Context, Server};
use crate::error::Error;
use crate::exit::Exit;
use crate::method::StartMethod;
use crate::options::{Options, Pipes};
use crate::runtime::block_on;
use crate::worker::{Start, Worker};
use mpfork_proto::v1::WorkerId;
use rustix::process::Signal;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A process that was started. Mirrors `multiprocessing.Process`, after its `start()`.
///
/// Dropping it leaves the process running.
#[derive(Debug)]
pub struct Process {
    worker: Worker,
    context: Context,
    name: String,
    daemon: bool,
    pipes: Pipes,
}

/// What a process object keeps from its description.
#[derive(Debug)]
pub(crate) struct Described {
    context: Context,
    start: Start,
    daemon: bool,
    pipes: Pipes,
}

impl Described {
    pub(crate) fn new(
        context: Context,
        options: Options,
        place: crate::worker::Place,
        task: crate::api::Task,
    ) -> Result<Self, Error> {
        let daemon = options.daemon;
        let (start, pipes) = options.into_start(place, task)?;
        Ok(Self {
            context,
            start,
            daemon,
            pipes,
        })
    }

    pub(crate) async fn start(self) -> Result<Process, Error> {
        let name = self.start.request.name.clone();
        let worker = Worker::start(self.context.socket(), self.start).await?;
        Ok(Process {
            name: if name.is_empty() {
                format!("Process-{}", worker.id.counter)
            } else {
                name
            },
            worker,
            context: self.context,
            daemon: self.daemon,
            pipes: self.pipes,
        })
    }
}

impl Process {
    /// Its name; mirrors `name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pid, as mpforkd sees it; mirrors `pid`. To signal it there are [`Self::signal`] and
    /// [`Self::sentinel`].
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.worker.pid
    }

    /// Its id, which unlike a pid is never used again.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.worker.id
    }

    /// Its daemon flag; mirrors `daemon`.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.daemon
    }

    /// Which start method made it.
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        self.context.start_method()
    }

    /// Which server made it.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::of(self.worker.client())
    }

    /// Waits for its end, no longer than `timeout`; `None` when it still runs then. Mirrors `join`.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when mpforkd went away.
    pub fn join(&mut self, timeout: Option<Duration>) -> Result<Option<Exit>, Error> {
        let exit = block_on(self.worker.exited_within(timeout))?;
        Ok(exit.cloned())
    }

    /// Waits for its end. May be cancelled and called again.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_async(&mut self) -> Result<Exit, Error> {
        self.worker.exited().await.cloned()
    }

    /// Whether it still runs; mirrors `is_alive`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.worker.is_alive()
    }

    /// Its exit code: the code, or minus the signal's number; 255 when the status was lost. `None`
    /// only while it runs. Mirrors `exitcode`.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.exit().map(Exit::exitcode)
    }

    /// How it ended; `None` only while it runs.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        self.worker.exit_now()
    }

    /// Asks it to end: SIGTERM. Nothing happens when it has ended. Mirrors `terminate`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal(Signal::TERM.as_raw())
    }

    /// Ends it: SIGKILL. Nothing happens when it has ended. Mirrors `kill`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::KILL.as_raw())
    }

    /// Sends it a signal, never to another process that got its pid. Nothing happens when it has
    /// ended.
    ///
    /// # Errors
    /// When there is no such signal, or the system refuses.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        self.worker.signal(signal)
    }

    /// A descriptor that becomes readable when it ends: its pidfd, or what stands for one where
    /// descriptors do not pass ([`Server::descriptors`]). Mirrors `sentinel`.
    #[must_use]
    pub fn sentinel(&self) -> BorrowedFd<'_> {
        self.worker.sentinel()
    }

    /// Takes the other end of a piped standard input.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        self.pipes.stdin.take()
    }

    /// Takes the other end of a piped standard output.
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        self.pipes.stdout.take()
    }

    /// Takes the other end of a piped standard error.
    pub fn take_stderr(&mut self) -> Option<PipeReader> {
        self.pipes.stderr.take()
    }

    /// Gives its resources back. Mirrors `close`.
    ///
    /// # Errors
    /// [`Error::StillRunning`]. The process is then left running.
    pub fn close(self) -> Result<(), Error> {
        if self.is_alive() {
            return Err(Error::StillRunning);
        }
        Ok(())
    }
}

/// The sentinel.
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sentinel()
    }
}
