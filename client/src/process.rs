//! Processes that were started.

use crate::api::{OnOwnerDeath, Task};
use crate::children;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::method::StartMethod;
use crate::options::{Options, Pipes};
use crate::parent;
use crate::runtime::block_on;
use crate::server::Server;
use crate::worker::{Place, Start, Worker};
use mpfork_proto::v1::WorkerId;
use rustix::process::Signal;
use std::fmt;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A process that was started. Mirrors `multiprocessing.Process`, after its `start()`.
///
/// Dropping it leaves the process running: [`active_children`](crate::active_children) gives it again.
///
/// Before this program ends, by a return from `main`, by [`std::process::exit`] or as a worker whose
/// function has returned, it waits for the processes it started: daemonic ones
/// ([`ProcessBuilder::daemon`](crate::ProcessBuilder::daemon)) it asks to end first. Not for
/// [commands](crate::Context::command), nor for those that were started to outlive it.
pub struct Process {
    inner: Arc<Inner>,
    pipes: Pipes,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, "Process")
    }
}

/// What all objects of one process share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) worker: Worker,
    name: String,
    pub(crate) daemon: bool,
    /// Its place among this process's children.
    pub(crate) number: u64,
    /// Whether this process waits for it before it ends.
    pub(crate) joined_at_end: bool,
}

/// A process that is about to be started.
#[derive(Debug)]
pub(crate) struct Described {
    context: Context,
    start: Start,
    own: Own,
}

/// What a process object keeps from its description.
#[derive(Debug)]
struct Own {
    name: String,
    daemon: bool,
    /// Whether it is one of this process's children, which commands are not.
    child: bool,
    joined_at_end: bool,
    pipes: Pipes,
}

impl Described {
    /// The caller's end of the worker's channel, which a forked worker must not have.
    pub(crate) fn keeps(&mut self, end: &impl AsRawFd) {
        self.start.callers.push(end.as_raw_fd());
    }

    pub(crate) fn new(
        context: Context,
        options: Options,
        place: Place,
        task: Task,
    ) -> Result<Self, Error> {
        let daemon = options.daemon;
        let child = !matches!(task, Task::Command { .. });
        if child && parent::is_daemonic() {
            return Err(Error::Daemonic);
        }
        let (mut start, pipes) = options.into_start(place, task)?;
        start.request.parent = Some(parent::own(daemon, context.start_method()));
        let child = child && !start.detached;
        let own = Own {
            name: start.request.name.clone(),
            daemon,
            child,
            joined_at_end: child && start.request.on_owner_death != OnOwnerDeath::Keep,
            pipes,
        };
        Ok(Self {
            context,
            start,
            own,
        })
    }

    pub(crate) async fn start(self) -> Result<Process, Error> {
        let worker = Worker::start(&self.context, self.start).await?;
        Ok(self.own.process(worker))
    }

    /// As [`Self::start`], from outside of any future.
    pub(crate) fn start_blocking(self) -> Result<Process, Error> {
        let worker = Worker::start_blocking(&self.context, self.start)?;
        Ok(self.own.process(worker))
    }
}

impl Own {
    fn process(self, worker: Worker) -> Process {
        let name = match self.name.is_empty() {
            true => format!("Process-{}", worker.id.counter),
            false => self.name,
        };
        let inner = Arc::new(Inner {
            name,
            worker,
            daemon: self.daemon,
            number: children::number(),
            joined_at_end: self.joined_at_end,
        });
        if self.child {
            children::add(&inner);
        }
        Process {
            inner,
            pipes: self.pipes,
        }
    }
}

impl Process {
    /// Another object of the same process, without its pipes.
    pub(crate) fn again(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            pipes: Pipes::default(),
        }
    }

    /// For people, under this name of a type.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        f.debug_struct(kind)
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("start_method", &self.start_method())
            .finish_non_exhaustive()
    }

    /// Its end is known.
    fn ended(&self) {
        children::forget(&self.inner);
    }

    /// Its name; mirrors `name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its pid, as its server sees it; mirrors `pid`. To signal it there are [`Self::signal`] and
    /// [`Self::sentinel`].
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.inner.worker.pid
    }

    /// Its id, which unlike a pid is never used again. Python has none.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.inner.worker.id
    }

    /// Its daemon flag; mirrors `daemon`.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.inner.daemon
    }

    /// Which start method made it: not its context's where that could not be had, which is told by a
    /// warning then. Python does not tell.
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        self.inner.worker.method
    }

    /// Which server made it; a running mpforkd, a server of this program's own, or this program itself.
    /// Python does not tell.
    #[must_use]
    pub fn server(&self) -> Server {
        self.inner.worker.server()
    }

    /// Waits for its end, no longer than `timeout`; `None` when it still runs then. Mirrors `join`.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when mpforkd went away.
    pub fn join(&mut self, timeout: Option<Duration>) -> Result<Option<Exit>, Error> {
        let exit = block_on(self.inner.worker.exited_within(timeout))?;
        if exit.is_some() {
            self.ended();
        }
        Ok(exit.cloned())
    }

    /// Waits for its end. May be cancelled and called again. Python has no async form of `join`.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_async(&mut self) -> Result<Exit, Error> {
        let exit = self.inner.worker.exited().await?;
        self.ended();
        Ok(exit.clone())
    }

    /// Whether it still runs; mirrors `is_alive`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.worker.is_alive()
    }

    /// Its exit code: the code, or minus the signal's number; 255 when the status was lost. `None`
    /// as [`Self::exit`] is. Mirrors `exitcode`.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.exit().map(Exit::exitcode)
    }

    /// How it ended; `None` while it runs. It is `None`, too, when it has ended and who made it, which is
    /// stopped, say, has not told within seconds how: ask again. Python tells its `exitcode` alone.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        let exit = self.inner.worker.exit_now();
        if exit.is_some() {
            self.ended();
        }
        exit
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
    /// ended. Python has `os.kill` with the pid for that.
    ///
    /// # Errors
    /// When there is no such signal, or the system refuses.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        self.inner.worker.signal(signal)
    }

    /// A descriptor that becomes readable when it ends: its pidfd, or what stands for one where
    /// descriptors do not pass ([`Server::descriptors`]) or the system has none. Several are polled
    /// together as any descriptors are. Mirrors `sentinel`, and `multiprocessing.connection.wait`.
    #[must_use]
    pub fn sentinel(&self) -> BorrowedFd<'_> {
        self.inner.worker.sentinel()
    }

    /// Takes the other end of a piped standard input, which ends when that is dropped.
    /// Python has none, but in `subprocess`.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        self.pipes.stdin.take()
    }

    /// Takes the other end of a piped standard output; as [`Self::take_stdin`].
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        self.pipes.stdout.take()
    }

    /// Takes the other end of a piped standard error; as [`Self::take_stdin`].
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
        self.ended();
        Ok(())
    }
}

/// What has ended is not one of this process's children any more; what still runs stays one.
impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_alive() {
            self.ended();
        }
    }
}

/// The sentinel.
impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sentinel()
    }
}
