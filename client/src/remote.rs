//! Workers made by mpforkd.

use crate::api::{Client, Relayed, Running, Started};
use crate::error::Error;
use crate::exit::Exit;
use crate::method::StartMethod;
use crate::session::{Session, current_runtime};
use crate::worker::{Place, Start};
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{StartWay, WorkerId};
use mpfork_sys::sentinel;
use rustix::process::Signal;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// A worker of mpforkd.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    /// By spawn where mpforkd can't fork, else from a zygote.
    pub(crate) method: StartMethod,
    way: Way,
    session: Arc<Session>,
    socket: Option<Arc<Path>>,
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

impl Remote {
    /// Starts a worker through the daemon at this socket, to which there is a session.
    pub(crate) async fn start(
        socket: Option<&Arc<Path>>,
        mut session: Arc<Session>,
        start: &mut Start,
    ) -> Result<Self, Error> {
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
            match launch(&session.client, start).await {
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
            None => {
                let sentinel = sentinel::of_news(started.pid, started.pidfd);
                Way::Pidfd(sentinel.map_err(|_| Error::Unsupported {
                    what: "a process object".to_owned(),
                    why: "the daemon sent no pidfd",
                })?)
            }
        };
        let method = match started.way {
            StartWay::Spawn => StartMethod::Spawn,
            StartWay::Fork | StartWay::Spare | StartWay::Unspecified => StartMethod::ForkServer,
        };
        Ok(Self {
            id: started.worker,
            pid: started.pid,
            method,
            way,
            session,
            socket: socket.cloned(),
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
    pub(crate) async fn exited(&self) -> Result<Exit, Error> {
        if let Way::Relayed(relayed) = &self.way {
            // A forked child's copy of it is told nothing.
            return match relayed.is_ours() {
                true => relayed.exited().await,
                false => self.asked_for(None).await,
            };
        }
        let told = if current_runtime()? == self.session.runtime {
            self.told_by_the_start().await
        } else {
            // The call lives in another runtime, which may not be driven just now.
            Err(None)
        };
        match told {
            Ok(exit) => Ok(exit),
            Err(cause) => self.asked_for(cause).await,
        }
    }

    async fn told_by_the_start(&self) -> Result<Exit, Option<Error>> {
        let mut running = self.running.lock().await;
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

    /// Asks it to end, when the thread's locals are gone.
    pub(crate) fn terminate_at_end(&self) {
        const TERM: i32 = Signal::TERM.as_raw();
        // Nobody is left to be told of an error.
        match &self.way {
            Way::Pidfd(_) => drop(self.signal(TERM)),
            // A thread has locals of its own.
            Way::Relayed(_) => std::thread::scope(|scope| {
                let asked = std::thread::Builder::new().spawn_scoped(scope, || self.signal(TERM));
                drop(asked);
            }),
        }
    }

    /// The descriptor that the system can tell an exit by, where there is one.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Pidfd(pidfd) => Some(pidfd.as_fd()),
            Way::Relayed(_) => None,
        }
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<(), Error> {
        match &self.way {
            Way::Relayed(_) => crate::runtime::block_on(self.signal_through_daemon(signal)),
            Way::Pidfd(pidfd) => send(self.pid, pidfd.as_fd(), signal),
        }
    }

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

/// Sends a signal by pidfd; nothing happens when the process has ended.
pub(crate) fn send(pid: i32, pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Error> {
    const ESRCH: i32 = rustix::io::Errno::SRCH.raw_os_error();
    match sentinel::signal(pid, pidfd, signal) {
        Err(error) if error.raw_os_error() != Some(ESRCH) => {
            Err(Error::system(format!("sending signal {signal}"), error))
        }
        _ => Ok(()),
    }
}

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
                way: relayed.started.way,
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
        way: running.started.way,
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
