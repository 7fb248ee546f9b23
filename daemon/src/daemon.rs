//! The daemon's state: what every part of it shares.

use crate::children::Children;
use crate::config::Config;
use crate::drain::{self, Drain};
use crate::events::Events;
use crate::features::Features;
use crate::kept::Total;
use crate::logging::LogFilter;
use crate::peers::Peers;
use crate::pressure::Sources;
use crate::processes::Groups;
use crate::service::manager::Manager;
use crate::settings::Settings;
use crate::template::Template;
use crate::template::identity::Identities;
use crate::template::table::Templates;
use crate::worker::streams::Files;
use crate::worker::table::Workers;
use crate::zygote::spares::Budget;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::limits::Rlimit;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Not at all.
    No,
    /// In order: no new starts, workers get TERM, this grace period, KILL.
    InOrder(Duration),
    /// At once.
    Now,
}

/// One running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) settings: Settings,
    pub(crate) manager: Manager,
    pub(crate) socket: PathBuf,
    /// Tells this run from others.
    pub(crate) instance: u64,
    pub(crate) started: Instant,
    /// The same by the clock on the wall, read once: whoever sees another takes it for another run.
    pub(crate) started_at: SystemTime,
    pub(crate) features: Features,
    /// The limit of open files before it was raised.
    pub(crate) original_nofile: Rlimit,
    pub(crate) identities: Identities,
    pub(crate) templates: Templates,
    pub(crate) workers: Workers,
    pub(crate) peers: Peers,
    pub(crate) children: Children,
    /// What the output that is kept of workers takes.
    pub(crate) kept: Arc<Total>,
    /// What workers and the streams mpforkd holds of them may have open.
    pub(crate) files: Files,
    /// How many workers may be forked ahead.
    pub(crate) spares: Budget,
    /// What there is of memory.
    memory: Sources,
    pub(crate) events: Events,
    pub(crate) groups: Arc<Groups>,
    pub(crate) ending: watch::Sender<Ending>,
    pub(crate) drain: Drain,
    pub(crate) log: LogFilter,
    waiting_starts: Arc<AtomicUsize>,
}

/// A start that waits for its template; counted until dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Daemon {
    pub(crate) fn new(
        settings: Settings,
        manager: Manager,
        socket: PathBuf,
        features: Features,
        original_nofile: Rlimit,
        log: LogFilter,
    ) -> Self {
        let instance = rand::random();
        let config = settings.config();
        Self {
            templates: Templates::new(config.limits.templates),
            workers: Workers::new(instance, &config.limits),
            peers: Peers::new(config.limits.connections),
            files: Files::new(config.limits.spares),
            kept: Arc::new(Total::new(config.limits.kept_output_total)),
            events: Events::new(instance, &config.limits),
            spares: Budget::default(),
            memory: Sources::of_system(),
            settings,
            manager,
            socket,
            instance,
            started: Instant::now(),
            started_at: SystemTime::now(),
            features,
            original_nofile,
            identities: Identities::default(),
            children: Children::default(),
            groups: Arc::default(),
            ending: watch::Sender::new(Ending::No),
            drain: Drain::default(),
            log,
            waiting_starts: Arc::default(),
        }
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.settings.config()
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        *self.ending.borrow() != Ending::No
    }

    /// Refuses what would start something while the daemon ends or drains.
    pub(crate) fn accepting(&self) -> Result<(), Problem> {
        self.not_ending()?;
        if self.is_draining() {
            let message = "mpforkd drains and takes no starts";
            return Err(Problem::new(Reason::Draining, message));
        }
        Ok(())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.state() != drain::State::Accepting
    }

    /// Refuses what has no sense while the daemon ends.
    pub(crate) fn not_ending(&self) -> Result<(), Problem> {
        if self.is_shutting_down() {
            Err(Problem::new(
                Reason::ShuttingDown,
                "mpforkd is shutting down",
            ))
        } else {
            Ok(())
        }
    }

    /// A place among those who wait for a template to be warm.
    pub(crate) fn wait_for_template(&self) -> Result<Waiting, Problem> {
        let limit = self.config().limits.waiting_starts;
        let before = self.waiting_starts.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(Arc::clone(&self.waiting_starts));
        if before >= limit {
            return Err(Problem::limit("limits.waiting_starts", limit));
        }
        Ok(waiting)
    }

    pub(crate) fn waiting_starts(&self) -> usize {
        self.waiting_starts.load(Ordering::Relaxed)
    }

    /// Whether workers may be forked ahead now, and until this is asked again.
    pub(crate) fn has_room_for_spares(&self) -> bool {
        let (limit, least) = {
            let limits = &self.config().limits;
            (limits.spares, limits.spares_min_memory)
        };
        let mut room = self.spares.used() <= limit && self.accepting().is_ok();
        // Nobody asks when there may be none.
        if room && limit > 0 {
            let short = self.memory.short(least);
            room = short.is_none();
            self.spares.tell_memory(short);
        }
        self.spares.open(room);
        room
    }

    /// Reads a zygote's memory, and that of some of its workers, in the background, on a thread that may
    /// block.
    pub(crate) fn sample_memory(&self, template: &Arc<Template>, pid: i32) {
        let template = Arc::clone(template);
        let workers = self.workers.pids_of(&template.label);
        tokio::task::spawn_blocking(move || template.sample_memory(pid, &workers));
    }
}
