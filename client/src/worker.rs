//! A worker as its starter sees it; what [`Process`](crate::Process) and [`Handle`](crate::Handle)
//! share.

use crate::api::{Client, Relayed, Running, Started, WorkerRequest};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::method::StartMethod;
use crate::session::{Session, current_runtime};
use crate::standard;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::WorkerId;
use mpfork_sys::pidfd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
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
}

/// Whether there is a way to start workers by the context's start method.
pub(crate) fn dispatch(context: &Context) -> Result<(), Error> {
    match context.start_method() {
        StartMethod::ForkServer => Ok(()),
        method @ (StartMethod::Fork | StartMethod::Spawn) => Err(Error::Unsupported {
            what: format!("start method {method}"),
            why: "this version has only forkserver",
        }),
    }
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    way: Way,
    session: Arc<Session>,
    socket: Option<Arc<Path>>,
    exit: OnceLock<Exit>,
    /// The call that will tell the exit. Locked while somebody waits on it.
    running: tokio::sync::Mutex<Option<Running>>,
}

/// How this process reaches the worker.
#[derive(Debug)]
enum Way {
    Pidfd(OwnedFd),
    /// Through the daemon, as descriptors do not pass.
    Relayed(Box<Relayed>),
}

/// How long the daemon may take to tell the exit of a process that has ended.
const TELL_LIMIT: Duration = Duration::from_secs(10);
/// How long its parent may take to wait for it, when the daemon is gone.
const REAP_LIMIT: Duration = Duration::from_secs(2);
const REAP_PERIOD: Duration = Duration::from_millis(10);

impl Worker {
    /// Starts a worker by the context's start method.
    pub(crate) async fn start(context: &Context, start: Start) -> Result<Self, Error> {
        dispatch(context)?;
        Self::start_by_daemon(context.socket(), start).await
    }

    /// Starts a worker through the daemon at this socket.
    async fn start_by_daemon(socket: Option<&Arc<Path>>, mut start: Start) -> Result<Self, Error> {
        // Directory, program and pidfd are opened on the way.
        let _held = standard::hold();
        let mut session = Session::get(socket).await?;
        let (mut reconnected, mut registered) = (false, false);
        loop {
            let template = match &start.place {
                Place::OwnTemplate => session.own_template(&start.request.task).await?,
                Place::Template(name) => Arc::clone(name),
            };
            start.request.template = template.to_string();
            if !session.client.carries_descriptors() {
                start.request.inline_argument()?;
            }
            match launch(&session.client, &start).await {
                Ok(launched) => return Self::new(session, socket, launched),
                // The daemon has been restarted, or somebody removed the template.
                Err(Error::Server(problem))
                    if problem.reason == Reason::UnknownTemplate
                        && matches!(start.place, Place::OwnTemplate)
                        && !registered =>
                {
                    registered = true;
                    session.forget_template(&template);
                }
                // The answer was lost; the same daemon knows the request by its id.
                Err(error @ Error::ServerLost { asked, .. }) if !reconnected => {
                    reconnected = true;
                    let again = Session::get(socket).await.map_err(|_| error_of(&error))?;
                    if asked && again.client.instance() != session.client.instance() {
                        return Err(error);
                    }
                    session = again;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn new(
        session: Arc<Session>,
        socket: Option<&Arc<Path>>,
        launched: Launched,
    ) -> Result<Self, Error> {
        let Launched {
            started,
            running,
            relayed,
        } = launched;
        let way = match relayed {
            Some(relayed) => Way::Relayed(relayed),
            None => Way::Pidfd(started.pidfd.ok_or_else(|| Error::Unsupported {
                what: "a process object".to_owned(),
                why: "the daemon sent no pidfd",
            })?),
        };
        Ok(Self {
            id: started.worker,
            pid: started.pid,
            way,
            session,
            socket: socket.cloned(),
            exit: OnceLock::new(),
            running: tokio::sync::Mutex::new(running),
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.session.client
    }

    pub(crate) fn sentinel(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Pidfd(pidfd) => pidfd.as_fd(),
            Way::Relayed(relayed) => relayed.sentinel(),
        }
    }

    /// Waits for the exit. May be cancelled and called again.
    pub(crate) async fn exited(&self) -> Result<&Exit, Error> {
        if let Some(exit) = self.exit.get() {
            return Ok(exit);
        }
        if let Way::Relayed(relayed) = &self.way {
            // A forked child's copy of it is told nothing.
            let exit = match relayed.is_ours() {
                true => relayed.exited().await?,
                false => self.asked_for(None).await?,
            };
            return Ok(self.exit.get_or_init(|| exit));
        }
        let told = if current_runtime()? == self.session.runtime {
            self.told_by_the_start().await
        } else {
            // The call lives in another runtime, which may not be driven just now.
            Err(None)
        };
        let exit = match told {
            Ok(exit) => exit,
            Err(cause) => self.asked_for(cause).await?,
        };
        Ok(self.exit.get_or_init(|| exit))
    }

    async fn told_by_the_start(&self) -> Result<Exit, Option<Error>> {
        let mut running = self.running.lock().await;
        if let Some(exit) = self.exit.get() {
            return Ok(exit.clone());
        }
        let Some(call) = running.as_mut() else {
            return Err(None);
        };
        let told = call.exited().await;
        // Either way there is nothing more to come.
        *running = None;
        drop(running);
        told.map_err(Some)
    }

    /// Asks anew, of the same daemon: another one knows nothing of the worker.
    async fn asked_for(&self, cause: Option<Error>) -> Result<Exit, Error> {
        let lost = |cause: Option<Error>| {
            cause.unwrap_or_else(|| Error::ServerLost {
                socket: self.client().socket().to_owned(),
                cause: "the daemon that started the worker is gone".to_owned(),
                asked: true,
            })
        };
        let session = match Session::get(self.socket.as_ref()).await {
            Ok(session) => session,
            Err(error) => return Err(cause.unwrap_or(error)),
        };
        if session.client.instance() != self.client().instance() {
            return Err(lost(cause));
        }
        match session.client.wait_worker(self.id, None).await? {
            Some(exit) => Ok(exit),
            None => Err(lost(cause)),
        }
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

    /// The exit of a process that may have ended: `None` only while it runs. What the daemon does not
    /// tell in time, the system may.
    pub(crate) fn exit_now(&self) -> Option<&Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(exit);
        }
        if self.is_alive() {
            return None;
        }
        if let Ok(Some(exit)) = crate::runtime::block_on(self.exited_within(Some(TELL_LIMIT))) {
            return Some(exit);
        }
        let exit = || match self.reaped_status() {
            Some(status) => Exit::from_raw(status),
            None => Exit::unknown("mpforkd is gone"),
        };
        Some(self.exit.get_or_init(exit))
    }

    /// The status of a process that has ended, where the system tells it. It does so once the
    /// process's parent has waited for it, which may be a moment later.
    fn reaped_status(&self) -> Option<i32> {
        let Way::Pidfd(pidfd) = &self.way else {
            return None;
        };
        let deadline = Instant::now() + REAP_LIMIT;
        loop {
            match pidfd::exit_status(pidfd.as_fd()) {
                Ok(None) if Instant::now() < deadline => {}
                told => return told.ok().flatten(),
            }
            // Hung up is what the descriptor of a reaped process is.
            self.poll(PollFlags::empty(), REAP_PERIOD);
        }
    }

    /// Whether the process has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.exit.get().is_none() && !self.poll(PollFlags::IN, Duration::ZERO)
    }

    /// Whether the sentinel shows one of these events within the time, which is under a second.
    fn poll(&self, events: PollFlags, time: Duration) -> bool {
        let sentinel = self.sentinel();
        let mut polled = [PollFd::new(&sentinel, events)];
        let time = Timespec {
            tv_sec: 0,
            tv_nsec: time.subsec_nanos().into(),
        };
        let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&time)));
        matches!(ready, Ok(count) if count > 0)
    }

    /// Asks it to end, when the thread's locals are gone.
    pub(crate) fn terminate_at_end(&self) {
        // Nobody is left to be told of an error.
        match self.way {
            Way::Pidfd(_) => drop(self.signal(TERM)),
            // A thread has locals of its own.
            Way::Relayed(_) => std::thread::scope(|scope| {
                let asked = std::thread::Builder::new().spawn_scoped(scope, || self.signal(TERM));
                drop(asked);
            }),
        }
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), Error> {
        if let Way::Relayed(_) = self.way {
            return crate::runtime::block_on(self.signal_through_daemon(signal));
        }
        match pidfd::signal(self.sentinel(), signal) {
            Err(error) if error.raw_os_error() != Some(ESRCH) => {
                Err(Error::system(format!("sending signal {signal}"), error))
            }
            _ => Ok(()),
        }
    }
}

impl Worker {
    /// Over a connection of the runtime this is called in: the one the worker was started on may not
    /// be driven just now.
    async fn signal_through_daemon(&self, signal: i32) -> Result<(), Error> {
        let session = Session::get(self.socket.as_ref()).await?;
        if session.client.instance() != self.client().instance() {
            return Ok(());
        }
        session.client.signal_worker(self.id, signal, false).await?;
        Ok(())
    }
}

const TERM: i32 = rustix::process::Signal::TERM.as_raw();
const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();

/// A worker that was started.
struct Launched {
    started: Started,
    running: Option<Running>,
    /// Where descriptors do not pass.
    relayed: Option<Box<Relayed>>,
}

async fn launch(client: &Client, start: &Start) -> Result<Launched, Error> {
    if !client.carries_descriptors() {
        let relayed = client.run_relayed(&start.request, start.detached).await?;
        return Ok(Launched {
            started: Started {
                worker: relayed.started.worker,
                pid: relayed.started.pid,
                pidfd: None,
            },
            running: None,
            relayed: Some(Box::new(relayed)),
        });
    }
    if start.detached {
        let started = client.start_worker(&start.request, true).await?;
        return Ok(Launched {
            started,
            running: None,
            relayed: None,
        });
    }
    let mut running = client.run_worker(&start.request).await?;
    let pidfd = running.started.pidfd.take();
    let started = Started {
        worker: running.started.worker,
        pid: running.started.pid,
        pidfd,
    };
    Ok(Launched {
        started,
        running: Some(running),
        relayed: None,
    })
}

/// The loss is what happened; that there is no daemon any more is its consequence.
fn error_of(error: &Error) -> Error {
    match error {
        Error::ServerLost {
            socket,
            cause,
            asked,
        } => Error::ServerLost {
            socket: socket.clone(),
            cause: cause.clone(),
            asked: *asked,
        },
        other => Error::system("starting a worker", io::Error::other(other.to_string())),
    }
}
