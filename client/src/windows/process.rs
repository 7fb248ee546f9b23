//! Processes that were started.

use crate::api::OnOwnerDeath;
use crate::children;
use crate::error::Error;
use crate::exit::Exit;
use crate::method::StartMethod;
use crate::options::{Options, Pipes};
use crate::parent;
use crate::worker::{Task, Worker};
use mpfork_proto::v1::WorkerId;
use std::fmt;
use std::io::{PipeReader, PipeWriter};
use std::os::windows::io::{AsHandle, BorrowedHandle};
use std::sync::Arc;
use std::time::Duration;

/// How often a process is looked at that async code waits for.
const PERIOD: Duration = Duration::from_millis(10);

/// A process that was started. Mirrors `multiprocessing.Process`, after its `start()`.
///
/// Dropping it leaves the process running: [`active_children`](crate::active_children) gives it again.
///
/// When this program returns from `main` it waits for the processes it started: daemonic ones
/// ([`ProcessBuilder::daemon`](crate::ProcessBuilder::daemon)) it ends first. By
/// [`std::process::exit`] it ends at once, and they with it unless they are to be
/// [kept](OnOwnerDeath::Keep).
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

impl Process {
    pub(crate) fn start(options: Options, task: Task) -> Result<Self, Error> {
        if parent::is_daemonic() {
            return Err(Error::Daemonic);
        }
        let name = options.name.clone();
        let daemon = options.daemon;
        let kept = options.on_owner_death == OnOwnerDeath::Keep;
        let from = parent::own(daemon, StartMethod::Spawn);
        let (worker, pipes) = Worker::start(options, task, from)?;
        let inner = Arc::new(Inner {
            name: name.unwrap_or_else(|| format!("Process-{}", worker.id.counter)),
            worker,
            daemon,
            number: children::number(),
            joined_at_end: !kept,
        });
        children::add(&inner);
        Ok(Self { inner, pipes })
    }

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

    pub(crate) fn take_value(&self) -> Option<Vec<u8>> {
        self.inner.worker.take_value()
    }

    /// Its name; mirrors `name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its pid; mirrors `pid`.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.inner.worker.pid
    }

    /// Its id, which unlike a pid is never used again.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.inner.worker.id
    }

    /// Its daemon flag; mirrors `daemon`.
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.inner.daemon
    }

    /// Which start method made it.
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        StartMethod::Spawn
    }

    /// Waits for its end, no longer than `timeout`; `None` when it still runs then. Mirrors `join`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn join(&mut self, timeout: Option<Duration>) -> Result<Option<Exit>, Error> {
        let exit = self.inner.worker.exited_within(timeout)?;
        if exit.is_some() {
            self.ended();
        }
        Ok(exit.cloned())
    }

    /// Waits for its end. May be cancelled and called again.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_async(&mut self) -> Result<Exit, Error> {
        loop {
            if let Some(exit) = self.join(Some(Duration::ZERO))? {
                return Ok(exit);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Whether it still runs; mirrors `is_alive`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.inner.worker.is_alive()
    }

    /// Its exit code; minus 15 when it was terminated. `None` only while it runs. Mirrors `exitcode`.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.exit().map(Exit::exitcode)
    }

    /// How it ended; `None` only while it runs.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        let exit = self.inner.worker.exit_now();
        if exit.is_some() {
            self.ended();
        }
        exit
    }

    /// Ends it, and all it has started. Nothing happens when it has ended. Mirrors `terminate`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn terminate(&self) -> Result<(), Error> {
        self.inner.worker.terminate()
    }

    /// As [`Self::terminate`]: there is nothing stronger. Mirrors `kill`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&self) -> Result<(), Error> {
        self.terminate()
    }

    /// The process's handle, which is signalled when it ends. Mirrors `sentinel`.
    #[must_use]
    pub fn sentinel(&self) -> BorrowedHandle<'_> {
        self.inner.worker.sentinel()
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
impl AsHandle for Process {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.sentinel()
    }
}
