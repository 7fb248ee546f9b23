//! Workers of an embedded server.

use super::Kind;
use super::server::{Answer, Own, Slot};
use crate::api::{Function, Task};
use crate::assign::Assignable;
use crate::error::Error;
use crate::exit::Exit;
use crate::runtime::State;
use crate::server::Server;
use crate::settings;
use crate::worker::{Place, Start, status_once_reaped};
use mpfork_driver::control::Control;
use mpfork_driver::duration::to_wire;
use mpfork_driver::exit::{Known, exit};
use mpfork_driver::failed;
use mpfork_proto::link::Fork;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{Process, StartWay, WorkerId};
use mpfork_sys::reactor::Readable;
use mpfork_sys::sentinel;
use rustix::process::Signal;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a zygote may die while it is to make one worker.
const TRIES: u32 = 3;

/// A worker of an embedded server.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    own: Arc<Own>,
    slot: Slot,
    control: Mutex<Option<Control>>,
    time_limit: Option<Duration>,
    begun: Instant,
}

/// Starts a worker in the server of this kind.
pub(crate) async fn start(kind: Kind, start: &Start) -> Result<Supervised, Error> {
    if let Place::Template(name) = &start.place
        && &**name != mpfork_proto::BUILTIN_TEMPLATE
    {
        return Err(Error::Unsupported {
            what: format!("template {name}"),
            why: "only mpforkd has templates",
        });
    }
    let mut name = String::new();
    for _ in 0..TRIES {
        let own = State::current().servers.get(&kind).await?;
        let assignable = Assignable::new(&start.request)?;
        check(&own, &assignable, &start.request.task)?;
        name.clone_from(&own.name);
        if let Some(worker) = start_in(&kind, own, assignable, start).await? {
            return Ok(worker);
        }
    }
    Err(failed::zygotes_died(&name, TRIES).into())
}

fn check(own: &Own, assignable: &Assignable, task: &Task) -> Result<(), Error> {
    failed::check_targets(&assignable.start.state.placed, own.kept())?;
    if let Some(function) = assignable.function_name() {
        failed::check_function(function, &own.name, own.functions())?;
    }
    if let Task::Function {
        function: Function::Offset(_),
        ..
    } = task
        && settings::executable_path().is_some()
    {
        settings::executable_with_functions()?;
    }
    Ok(())
}

/// `None` when the zygote died before there was a worker.
async fn start_in(
    kind: &Kind,
    own: Arc<Own>,
    assignable: Assignable,
    start: &Start,
) -> Result<Option<Supervised>, Error> {
    // What executes another program anyhow need not be executed first.
    let fresh = kind.fresh && !assignable.command;
    let way = match fresh {
        true => StartWay::Spawn,
        false => StartWay::Fork,
    };
    let number = own.next();
    let id = WorkerId {
        instance: own.instance,
        counter: number,
    };
    let asked = &assignable.start;
    let fork = Fork {
        worker: number,
        spare: false,
        fresh,
        keep: asked.keep || start.detached,
        time_limit: asked.time_limit.map(to_wire),
        grace: asked.grace.map(to_wire),
    };
    let (mut control, theirs) =
        Control::pair().map_err(|error| Error::system("making a worker's socket", error))?;
    assignable
        .assign(&mut control, id, way, own.inherited())
        .await?;
    let begun = Instant::now();
    let (answer, slot) = own.fork(fork, theirs, &mut control).await?;
    let mut made = match answer {
        Answer::Forked(pid, pidfd) => Made(pid, Some(pidfd)),
        Answer::Failed(problem) => return Err(failed::fork(&own.name, problem).into()),
        Answer::Missed(pid) => {
            // There are free numbers now.
            drop(control);
            // Its zygote has not told its end: the number is its own.
            if let Ok(pidfd) = sentinel::open(pid) {
                let _ = sentinel::signal(pid, pidfd.as_fd(), Signal::KILL.as_raw());
            }
            let error = rustix::io::Errno::MFILE;
            return Err(Problem::limit("open files", error).into());
        }
        Answer::Gone => {
            // One that began all the same must not be started twice.
            control.close();
            return match &control.reports.applied {
                None => Ok(None),
                Some(_) => Err(Problem::new(
                    Reason::WorkerLost,
                    format!("worker {id} ran, but its zygote died before its start was reported"),
                )
                .with("worker", id)
                .with("message", "its zygote died")
                .into()),
            };
        }
    };
    first_reports(&mut control, assignable.command).await?;
    let reports = control.first_reports();
    // It may have run out of its time before it began, or have ended; then its exit says so.
    let mut timed_out = false;
    if !reports.applied && reports.start_failed.is_none() && asked.time_limit.is_some() {
        let exited = own.exited(&slot).await?;
        timed_out = exited.is_some_and(|exited| exited.timed_out);
    }
    failed::check_begun(id, &asked.description, timed_out, reports)?;
    let Some((pid, pidfd)) = made.take() else {
        return Ok(None);
    };
    Ok(Some(Supervised {
        id,
        pid,
        pidfd,
        time_limit: asked.time_limit,
        own,
        slot,
        control: Mutex::new(Some(control)),
        begun,
    }))
}

/// A worker that is nobody's yet: killed when its start is given up.
pub(crate) struct Made(pub(crate) i32, pub(crate) Option<OwnedFd>);

impl Made {
    /// It is somebody's.
    pub(crate) fn take(&mut self) -> Option<(i32, OwnedFd)> {
        Some((self.0, self.1.take()?))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.1 {
            let _ = sentinel::signal(self.0, pidfd.as_fd(), Signal::KILL.as_raw());
        }
    }
}

/// Waits until the worker has said how it begins. What its socket did not take of the assignment is
/// written meanwhile.
pub(crate) async fn first_reports(control: &mut Control, command: bool) -> Result<(), Error> {
    let failed = |error| Error::system("sending a worker its assignment", error);
    let delivery = match control.is_undelivered() {
        true => Some(control.delivery().map_err(failed)?),
        false => None,
    };
    let told = async {
        while !control.reports.tell_beginning(command) {
            control.receive().await;
        }
    };
    match delivery {
        Some(delivery) => drop(tokio::join!(delivery.run(), told)),
        None => told.await,
    }
    Ok(())
}

impl Supervised {
    pub(crate) fn server(&self) -> Server {
        self.own.shown()
    }

    /// Waits for the exit. May be cancelled and called again.
    pub(crate) async fn exited(&self) -> Result<Exit, Error> {
        let wait = |error| Error::system("waiting for a worker", error);
        if self.slot.get().is_none() {
            // By a descriptor of its own: others' ends wake nobody but who waits for them.
            let copy = self.pidfd.try_clone().map_err(wait)?;
            let end = Readable::new(copy).map_err(wait)?;
            end.ready().await.map_err(wait)?;
        }
        let told = match self.own.is_ours() {
            true => self.own.exited(&self.slot).await?,
            // A forked child's copy is told nothing.
            false => None,
        };
        let known = match told {
            Some(exited) => {
                let mut left = exited.left;
                if left.is_empty() && exited.leftovers {
                    // There were some, which could not be named.
                    left.push(Process::default());
                }
                Known {
                    status: match exited.status {
                        Some(status) => Some(status),
                        None => status_once_reaped(self.pidfd.as_fd()).await,
                    },
                    lost: "its status was collected by something else than its zygote",
                    timed_out: self.time_limit.filter(|_| exited.timed_out),
                    rusage: exited.rusage,
                    leftovers: left,
                    run_time: exited
                        .run_time
                        .and_then(|time| time.try_into().ok())
                        .unwrap_or_else(|| self.begun.elapsed()),
                }
            }
            None => Known {
                status: status_once_reaped(self.pidfd.as_fd()).await,
                lost: "its zygote is gone, and the system does not tell",
                run_time: self.begun.elapsed(),
                ..Known::default()
            },
        };
        let control = self
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let reports = control.map(Control::into_reports).unwrap_or_default();
        Ok(Exit::new(exit(known, reports)))
    }
}
