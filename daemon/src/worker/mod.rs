//! Workers: processes forked to run one assignment.
//!
//! ```text
//! request ─▶ place among the running ─▶ zygote warm ─▶ Fork ─▶ Forked ─▶ Started
//!                                                       │                   │
//!                                              ForkFailed, gone         Exited, adopted, lost
//!                                                       ▼                   ▼
//!                                                  a typed error      Exit, remembered
//! ```

pub(crate) mod end;
pub(crate) mod finish;
pub(crate) mod request;
pub(crate) mod start;
pub(crate) mod stdio;
pub(crate) mod streams;
pub(crate) mod table;

use crate::convert::timestamp;
use crate::template::Template;
use mpfork_driver::control::{Control, FirstReports};
use mpfork_proto::v1::{self, Exit, OnOwnerDeath, StartWay, WorkerId};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use streams::Streams;
use table::Place;
use tokio::sync::Notify;

/// A spare that says nothing for so long may be stopped.
const SUSPICION: Duration = Duration::from_millis(100);

/// The client connection a worker was started on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) connection: u64,
    pub(crate) pid: i32,
}

/// Who is to own the worker of a start that is under way: the connection that asked for it last.
#[derive(Debug, Clone)]
pub(crate) struct Claim(Arc<Mutex<Option<Owner>>>);

impl Claim {
    pub(crate) fn new(owner: Option<Owner>) -> Self {
        Self(Arc::new(Mutex::new(owner)))
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request was repeated on this connection.
    pub(crate) fn hand_over(&self, owner: Owner) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(owner);
    }
}

/// What is known of a worker before it is forked.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(crate) id: WorkerId,
    pub(crate) request_id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) template: Arc<Template>,
    pub(crate) keep: bool,
    pub(crate) grace: Duration,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) owner: Claim,
    pub(crate) command: bool,
    pub(crate) way: StartWay,
    pub(crate) control: Control,
    pub(crate) place: Place,
    pub(crate) streams: Option<Arc<Streams>>,
}

/// A worker, running or ended.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) pid: i32,
    /// Until the worker's end is some while ago.
    pidfd: Mutex<Option<Arc<OwnedFd>>>,
    pub(crate) request_id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) template: String,
    /// What people call the template.
    pub(crate) template_name: String,
    pub(crate) keep: bool,
    pub(crate) way: StartWay,
    command: bool,
    pub(crate) grace: Duration,
    pub(crate) started: SystemTime,
    pub(crate) forked_at: Instant,
    /// The ends of its standard streams that mpforkd holds, if any.
    pub(crate) streams: Option<Arc<Streams>>,
    /// It has not begun yet: its start state is being applied, or its command executed. It is no worker
    /// to anybody until it has.
    provisional: AtomicBool,
    state: Mutex<State>,
    exit: OnceLock<Arc<Exit>>,
    /// Wakes those who wait for the exit.
    exited: Notify,
}

#[derive(Debug)]
struct State {
    owner: Option<Owner>,
    /// It has or had an owner, whose death matters or mattered.
    owned: bool,
    control: Option<Control>,
    place: Option<Place>,
    /// The wall-clock limit that has passed.
    timed_out: Option<Duration>,
    /// Whether it has begun is not known yet: its end waits until it is.
    beginning: bool,
    /// It has ended; what its group left is being looked for.
    ending: bool,
    deferred: Option<finish::Ended>,
}

impl Worker {
    pub(crate) fn new(seed: Seed, pid: i32, pidfd: Arc<OwnedFd>) -> Self {
        let template = seed.template.label.clone();
        let template_name = seed.template.display.clone();
        let owner = seed.owner.owner();
        Self {
            id: seed.id,
            pid,
            pidfd: Mutex::new(Some(pidfd)),
            request_id: seed.request_id,
            name: seed.name,
            description: seed.description,
            template,
            template_name,
            keep: seed.keep,
            way: seed.way,
            command: seed.command,
            grace: seed.grace,
            started: SystemTime::now(),
            forked_at: Instant::now(),
            streams: seed.streams,
            provisional: AtomicBool::new(true),
            state: Mutex::new(State {
                owner,
                owned: owner.is_some(),
                control: Some(seed.control),
                place: Some(seed.place),
                timed_out: None,
                beginning: true,
                ending: false,
                deferred: None,
            }),
            exit: OnceLock::new(),
            exited: Notify::new(),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<Arc<Exit>> {
        self.exit.get().cloned()
    }

    /// It has ended so.
    fn set_exit(&self, exit: Exit) {
        // It ends once.
        let _ = self.exit.set(Arc::new(exit));
        self.exited.notify_waiters();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> Arc<Exit> {
        loop {
            let exited = self.exited.notified();
            // After beginning to wait, so that it can't end unnoticed in between.
            if let Some(exit) = self.exit.get() {
                return Arc::clone(exit);
            }
            exited.await;
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.exit.get().is_none()
    }

    /// Its pidfd; `None` when it ended some while ago.
    pub(crate) fn pidfd(&self) -> Option<Arc<OwnedFd>> {
        self.pidfd
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes the pidfd and the streams: thousands of ended workers are remembered, and descriptors
    /// are few.
    pub(crate) fn close_descriptors(&self) {
        if let Some(streams) = &self.streams {
            streams.close();
        }
        let pidfd = self
            .pidfd
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(pidfd);
    }

    /// Whether the process is there, as a zombie at least: its pid is its own. One that has changed
    /// its user may not be signalled, but is there.
    pub(crate) fn is_unreaped(&self) -> bool {
        self.pidfd().is_some_and(|pidfd| {
            let signalled = mpfork_sys::sentinel::signal(self.pid, pidfd.as_fd(), 0);
            !signalled.is_err_and(|error| error.raw_os_error() == Some(nix::libc::ESRCH))
        })
    }

    pub(crate) fn is_provisional(&self) -> bool {
        self.provisional.load(Ordering::Relaxed)
    }

    /// It has begun: it is a worker now.
    pub(crate) fn confirm(&self) {
        self.provisional.store(false, Ordering::Relaxed);
    }

    /// It is known whether it has begun; returns how it ended, if it has meanwhile.
    pub(crate) fn settle(&self) -> Option<finish::Ended> {
        let mut state = self.state();
        state.beginning = false;
        state.deferred.take()
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        self.state().owner
    }

    /// Gives the worker to another connection, or to nobody.
    pub(crate) fn set_owner(&self, owner: Option<Owner>) {
        let mut state = self.state();
        state.owner = owner;
        state.owned |= owner.is_some();
    }

    pub(crate) fn set_timed_out(&self, limit: Duration) {
        self.state().timed_out = Some(limit);
    }

    /// Waits until it has begun, or failed to. One that says nothing within `limit` can't begin any more
    /// afterwards.
    pub(crate) async fn first_reports(&self, limit: Option<Duration>) -> FirstReports {
        let Some(mut control) = self.state().control.take() else {
            return FirstReports::default();
        };
        if let Some(limit) = limit
            && !self.is_heard(&mut control, limit).await
        {
            // It may have been heard while mpforkd was busy.
            control.drain();
            if !control.reports.tell_something() {
                control.close();
            }
        }
        // A time limit of the worker, or its owner's death, ends this.
        while !control.reports.tell_beginning(self.command) {
            control.receive().await;
        }
        let reports = control.first_reports();
        self.state().control = Some(control);
        reports
    }

    /// Whether it says something within this time. One that is stopped will not: that is not waited out.
    async fn is_heard(&self, control: &mut Control, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = async {
                while !control.reports.tell_something() {
                    control.receive().await;
                }
            };
            if tokio::time::timeout(left.min(SUSPICION), heard)
                .await
                .is_ok()
            {
                return true;
            }
            if left <= SUSPICION || mpfork_sys::processes::is_stopped(self.pid) {
                return false;
            }
        }
    }

    /// Another takes its place among the running: it never began.
    pub(crate) fn give_up_place(&self) {
        let place = self.state().place.take();
        drop(place);
    }

    pub(crate) fn has_timed_out(&self) -> bool {
        self.state().timed_out.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the wire, without its memory.
    pub(crate) fn describe(&self) -> v1::Worker {
        let exit = self.exit();
        let state = self.state();
        let on_owner_death = match (state.owned, self.keep) {
            (false, _) => OnOwnerDeath::Unspecified,
            (true, true) => OnOwnerDeath::Keep,
            (true, false) => OnOwnerDeath::End,
        };
        // Nobody owns what has ended.
        let owner = state.owner.filter(|_| exit.is_none());
        drop(state);
        v1::Worker {
            worker: Some(self.id),
            pid: self.pid,
            name: self.name.clone(),
            template: self.template.clone(),
            started: Some(timestamp(self.started)),
            exit: exit.map(|exit| Exit::clone(&exit)),
            task: self.description.clone(),
            on_owner_death: on_owner_death.into(),
            owner_pid: owner.map_or(0, |owner| owner.pid),
            memory: None,
            way: self.way.into(),
            template_name: self.template_name.clone(),
        }
    }
}
