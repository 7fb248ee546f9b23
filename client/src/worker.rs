//! A worker as its starter sees it; what [`Process`](crate::Process) and [`Handle`](crate::Handle)
//! share, whoever made it.

use crate::api::WorkerRequest;
use crate::context::Context;
use crate::embedded::{self, Kind, Supervised};
use crate::error::Error;
use crate::exit::Exit;
use crate::here::{self, Child, Forked};
use crate::method::StartMethod;
use crate::remote::{self, Remote};
use crate::runtime::block_on;
use crate::server::{Found, Server};
use crate::session::current_runtime;
use crate::{standard, untold};
use mpfork_proto::v1::WorkerId;
use mpfork_sys::sentinel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Where a worker is to run.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a zygote of this program.
    OwnTemplate,
    /// In this template.
    Template(Arc<str>),
}

/// A start, complete but for its template.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) place: Place,
    pub(crate) request: WorkerRequest,
    pub(crate) detached: bool,
    /// The caller's ends of the worker's pipes and of its channel.
    pub(crate) callers: Vec<RawFd>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    /// Which made it: not the context's where that could not be had.
    pub(crate) method: StartMethod,
    by: By,
    exit: OnceLock<Exit>,
}

/// Who made a worker, and tells its exit.
#[derive(Debug)]
enum By {
    Mpforkd(Remote),
    Embedded(Supervised),
    Caller(Child),
}

/// How long whoever made it may take to tell the exit of a process that has ended.
const TELL_LIMIT: Duration = Duration::from_secs(10);
/// How long its parent may take to wait for it, when nobody tells.
const REAP_LIMIT: Duration = Duration::from_secs(2);
const REAP_PERIOD: Duration = Duration::from_millis(10);

impl Worker {
    /// Starts a worker by the context's start method.
    pub(crate) async fn start(context: &Context, mut start: Start) -> Result<Self, Error> {
        current_runtime()?;
        // Directory, program and pidfd are opened on the way.
        let _held = standard::hold();
        match context.start_method() {
            StartMethod::ForkServer => match context.find().await? {
                Found::Mpforkd(session) => {
                    if matches!(start.place, Place::OwnTemplate) {
                        context.check_spawns(&session.client)?;
                    }
                    let socket = context.socket();
                    let remote = Remote::start(socket.as_ref(), session, &mut start).await?;
                    Ok(Self::new(remote.method, By::Mpforkd(remote)))
                }
                Found::Embedded => Self::embedded(StartMethod::ForkServer, start).await,
                Found::Nothing => Self::embedded(StartMethod::Spawn, start).await,
            },
            StartMethod::Spawn => Self::embedded(StartMethod::Spawn, start).await,
            StartMethod::Fork => {
                let forked = here::fork(context, &start)?;
                Self::begun(forked).await
            }
        }
    }

    /// Starts a worker, from outside of any future.
    pub(crate) fn start_blocking(context: &Context, start: Start) -> Result<Self, Error> {
        if context.start_method() == StartMethod::Fork {
            // What is forked must not be in the middle of driving a runtime.
            let forked = {
                let _held = standard::hold();
                here::fork(context, &start)?
            };
            return block_on(Self::begun(forked));
        }
        block_on(Self::start(context, start))
    }

    async fn begun(forked: Forked) -> Result<Self, Error> {
        let child = Child::begun(forked).await?;
        Ok(Self::new(StartMethod::Fork, By::Caller(child)))
    }

    async fn embedded(method: StartMethod, mut start: Start) -> Result<Self, Error> {
        let kind = Kind::of(method)?;
        if let Some(parent) = &mut start.request.parent {
            // It may be another one than the context's.
            method.name().clone_into(&mut parent.start_method);
        }
        let supervised = embedded::start(kind, &start).await?;
        Ok(Self::new(method, By::Embedded(supervised)))
    }

    fn new(method: StartMethod, by: By) -> Self {
        let (id, pid) = match &by {
            By::Mpforkd(remote) => (remote.id, remote.pid),
            By::Embedded(supervised) => (supervised.id, supervised.pid),
            By::Caller(child) => (child.id, child.pid),
        };
        Self {
            id,
            pid,
            method,
            by,
            exit: OnceLock::new(),
        }
    }

    /// Who made it.
    pub(crate) fn server(&self) -> Server {
        match &self.by {
            By::Mpforkd(remote) => Server::mpforkd(remote.client()),
            By::Embedded(supervised) => supervised.server(),
            By::Caller(_) => Server::caller(),
        }
    }

    pub(crate) fn sentinel(&self) -> BorrowedFd<'_> {
        match &self.by {
            By::Mpforkd(remote) => remote.sentinel(),
            By::Embedded(supervised) => supervised.pidfd.as_fd(),
            By::Caller(child) => child.pidfd.as_fd(),
        }
    }

    /// Waits for the exit. May be cancelled and called again.
    pub(crate) async fn exited(&self) -> Result<&Exit, Error> {
        if let Some(exit) = self.exit.get() {
            return Ok(exit);
        }
        let exit = match &self.by {
            By::Mpforkd(remote) => match remote.exited().await {
                // Two may have waited, and one been told.
                Err(error) => match self.exit.get() {
                    Some(exit) => return Ok(exit),
                    None => return Err(error),
                },
                Ok(exit) => exit,
            },
            By::Embedded(supervised) => {
                current_runtime()?;
                supervised.exited().await?
            }
            By::Caller(child) => {
                current_runtime()?;
                child.exited().await?
            }
        };
        Ok(self.exit.get_or_init(|| exit))
    }

    /// As [`Self::exited`], no longer than `timeout`.
    pub(crate) async fn exited_within(
        &self,
        timeout: Option<Duration>,
    ) -> Result<Option<&Exit>, Error> {
        let Some(timeout) = timeout else {
            return self.exited().await.map(Some);
        };
        match tokio::time::timeout(timeout, self.exited()).await {
            Ok(exit) => exit.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The exit of a process that may have ended: `None` while it runs, or may be told yet. What whoever
    /// made it does not tell in time, the system may.
    pub(crate) fn exit_now(&self) -> Option<&Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(exit);
        }
        if self.is_alive() {
            return None;
        }
        let why = match block_on(self.exited_within(Some(TELL_LIMIT))) {
            Ok(Some(exit)) => return Some(exit),
            Ok(None) => None,
            Err(error) => untold::why(&error),
        };
        let exit = match (self.pidfd().and_then(reaped_status), why) {
            (Some(status), _) => Exit::from_raw(status),
            (None, Some(why)) => Exit::unknown(why),
            (None, None) => return None,
        };
        Some(self.exit.get_or_init(|| exit))
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            By::Mpforkd(remote) => remote.pidfd(),
            By::Embedded(_) | By::Caller(_) => Some(self.sentinel()),
        }
    }

    /// Whether the process has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.exit.get().is_none() && !shows(self.sentinel(), PollFlags::IN, Duration::ZERO)
    }

    /// Asks it to end, when the thread's locals are gone.
    pub(crate) fn terminate_at_end(&self) {
        match &self.by {
            By::Mpforkd(remote) => remote.terminate_at_end(),
            By::Embedded(_) | By::Caller(_) => {
                // Nobody is left to be told of an error.
                let _ = self.signal(rustix::process::Signal::TERM.as_raw());
            }
        }
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), Error> {
        match &self.by {
            By::Mpforkd(remote) => remote.signal(signal),
            By::Embedded(_) | By::Caller(_) => remote::send(self.pid, self.sentinel(), signal),
        }
    }
}

/// The status of a process that has ended, where the system tells it. It does so once the process's
/// parent has waited for it, which may be a moment later.
pub(crate) fn reaped_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let deadline = Instant::now() + REAP_LIMIT;
    loop {
        match sentinel::exit_status(pidfd) {
            Ok(None) if Instant::now() < deadline => {}
            told => return told.ok().flatten(),
        }
        // Hung up is what the descriptor of a reaped process is.
        shows(pidfd, PollFlags::empty(), REAP_PERIOD);
    }
}

/// As [`reaped_status`], for async code: many may wait at once.
pub(crate) async fn status_once_reaped(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let deadline = Instant::now() + REAP_LIMIT;
    loop {
        match sentinel::exit_status(pidfd) {
            Ok(None) if Instant::now() < deadline => tokio::time::sleep(REAP_PERIOD).await,
            told => return told.ok().flatten(),
        }
    }
}

/// Whether a descriptor shows one of these events within the time, which is under a second.
fn shows(descriptor: BorrowedFd<'_>, events: PollFlags, time: Duration) -> bool {
    let mut polled = [PollFd::new(&descriptor, events)];
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&time)));
    matches!(ready, Ok(count) if count > 0)
}
