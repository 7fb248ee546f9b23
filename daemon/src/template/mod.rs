//! Templates: recipes of warm processes, and what became of them.
//!
//! ```text
//!          start, warm                  Ready
//!   cold ──────────────▶ warming ─────────────────▶ warm ──┐ reload: a second zygote warms, then
//!    ▲                     │   ▲                    │ │ ▲──┘ takes over; the first one drains
//!    │ idle                │   │ time               │ │
//!    │      failed to warm ▼   │                    │ │
//!    │                   backoff ◀──────────────────┼─┘ died
//!    │                     │ for the fifth time     │
//!    │                     ▼                        │
//!    │                   failed                     │
//!    └──────────────────────────────────────────────┘
//! ```
//! A template whose program was rebuilt is superseded: it drains, and leaves when it is idle.

pub(crate) mod buckets;
mod follow;
pub(crate) mod identity;
pub(crate) mod lifecycle;
mod report;
pub(crate) mod rlimits;
mod saving;
pub(crate) mod spec;
pub(crate) mod stats;
pub(crate) mod table;

use crate::config::{SparesConfig, TemplateConfig};
use crate::convert::to_wire;
use crate::daemon::Daemon;
use crate::features::Feature;
use crate::kept::Ring;
use crate::zygote::Zygote;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, Memory, Saving, StartWay, TemplateState, WarmProgress};
use spec::Spec;
use stats::Stats;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// How many bytes are kept of what a template's zygotes print.
const OUTPUT: usize = 64 << 10;

/// One template.
#[derive(Debug)]
pub(crate) struct Template {
    /// What requests call it: its configured name, or its digest.
    pub(crate) label: String,
    /// What people call it.
    pub(crate) display: String,
    /// Known from the configuration or built in, not registered by a client.
    pub(crate) configured: bool,
    pub(crate) stats: Stats,
    /// The newest of what its zygotes have printed.
    pub(crate) output: Arc<Ring>,
    state: Mutex<State>,
    /// Held while another program in the place of its own is read.
    following: tokio::sync::Mutex<()>,
    /// Counts changes of the phase.
    changed: watch::Sender<u64>,
    progress: watch::Sender<Option<WarmProgress>>,
}

#[derive(Debug)]
struct State {
    spec: Spec,
    /// Present for a configured template.
    config: Option<Arc<TemplateConfig>>,
    phase: Phase,
    /// Zygotes that finish their workers.
    draining: Vec<Arc<Zygote>>,
    /// Failures in a row.
    failures: u32,
    last_error: Option<Problem>,
    /// The program was rebuilt, or the template removed: nothing is kept warm any more.
    superseded: bool,
    removed: bool,
    reloading: bool,
    last_used: Instant,
    memory: Option<Memory>,
    saving: Option<Saving>,
    /// Workers' memory was looked at, whatever was found.
    looked_at_workers: bool,
}

impl State {
    fn warm(&self) -> Option<&Arc<Zygote>> {
        match &self.phase {
            Phase::Warm(zygote) => Some(zygote),
            _ => None,
        }
    }

    fn spares(&self, daemon: &Daemon) -> SparesConfig {
        if !daemon.features.has(Feature::Fork) {
            return SparesConfig { min: 0, max: 0 };
        }
        let own = self.config.as_ref().and_then(|config| config.spares);
        own.unwrap_or_else(|| daemon.config().spares)
    }
}

#[derive(Debug)]
enum Phase {
    Cold,
    Warming,
    Warm(Arc<Zygote>),
    /// Not before `until`.
    Backoff {
        until: Instant,
        problem: Problem,
        /// Launched again without being asked, so that starts may wait for it.
        relaunching: bool,
    },
    Failed {
        until: Instant,
        problem: Problem,
    },
}

impl Template {
    pub(crate) fn new(
        label: String,
        display: String,
        configured: bool,
        config: Option<Arc<TemplateConfig>>,
        spec: Spec,
    ) -> Self {
        Self {
            label,
            display,
            configured,
            stats: Stats::default(),
            output: Arc::new(Ring::new(OUTPUT)),
            state: Mutex::new(State {
                spec,
                config,
                phase: Phase::Cold,
                draining: Vec::new(),
                failures: 0,
                last_error: None,
                superseded: false,
                removed: false,
                reloading: false,
                last_used: Instant::now(),
                memory: None,
                saving: None,
                looked_at_workers: false,
            }),
            following: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
            progress: watch::Sender::new(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spec(&self) -> Spec {
        self.state().spec.clone()
    }

    /// Whether its program was rebuilt, or it was removed.
    pub(crate) fn is_superseded(&self) -> bool {
        self.state().superseded
    }

    /// What the configuration says of it.
    pub(crate) fn config(&self) -> Option<Arc<TemplateConfig>> {
        self.state().config.clone()
    }

    /// How many of its workers are forked ahead.
    pub(crate) fn spares(&self, daemon: &Daemon) -> SparesConfig {
        self.state().spares(daemon)
    }

    /// Whether what it preloads is moved into huge pages. Nothing is where nothing is forked.
    pub(crate) fn compacts(&self, daemon: &Daemon) -> bool {
        let own = self.config().and_then(|config| config.compact);
        daemon.features.has(Feature::Fork)
            && own.unwrap_or_else(|| daemon.config().compaction.enabled)
    }

    /// Whether it is mpforkd's own, of plain commands.
    pub(crate) fn is_builtin(&self) -> bool {
        self.label == mpfork_proto::BUILTIN_TEMPLATE
    }

    /// Those that wait for an assignment.
    pub(crate) fn idle_spares(&self) -> usize {
        self.state().warm().map_or(0, |zygote| zygote.idle_spares())
    }

    /// Sees to the spares as time goes by: fewer when starts have become rare, none when there is no
    /// room for them. A zygote that does not fork them any more is given up.
    pub(crate) fn tend_spares(&self, daemon: &Daemon, room: bool) {
        let (zygote, bounds) = {
            let state = self.state();
            let Some(zygote) = state.warm() else {
                return;
            };
            let none = SparesConfig { min: 0, max: 0 };
            let bounds = if room { state.spares(daemon) } else { none };
            (Arc::clone(zygote), bounds)
        };
        if zygote.is_stuck(daemon.config().timeouts.fork) {
            tracing::warn!(
                template = self.display,
                zygote = zygote.child.pid,
                "did not fork a spare in time, killed: is it stopped, or in a hook?"
            );
            zygote.child.kill();
            return;
        }
        zygote.trim_spares(bounds);
        zygote.refill(daemon, bounds);
    }

    /// A worker was started by this zygote: sees to the spares, of which it may have taken one, now and once
    /// no start has come for a while.
    pub(crate) fn refill_after_start(self: &Arc<Self>, daemon: &Arc<Daemon>, zygote: &Arc<Zygote>) {
        let mut lull = zygote.started(daemon, self.spares(daemon));
        if lull.is_none() {
            return;
        }
        let (template, daemon, zygote) = (Arc::clone(self), Arc::clone(daemon), Arc::clone(zygote));
        tokio::spawn(async move {
            while let Some(left) = lull {
                tokio::time::sleep(left).await;
                lull = zygote.refill_in_lull(&daemon, template.spares(&daemon));
            }
        });
    }

    /// Kept warm when idle.
    pub(crate) fn keep_warm(&self) -> bool {
        let state = self.state();
        state.config.as_ref().is_some_and(|config| config.warm)
    }

    /// It is in use: its idle time begins anew.
    pub(crate) fn touch(&self) {
        self.state().last_used = Instant::now();
    }

    /// A start in this template failed.
    pub(crate) fn note_error(&self, problem: &Problem) {
        self.state().last_error = Some(problem.clone());
    }

    pub(crate) fn set_progress(&self, progress: Option<WarmProgress>) {
        self.progress.send_replace(progress);
    }

    pub(crate) fn watch_progress(&self) -> watch::Receiver<Option<WarmProgress>> {
        self.progress.subscribe()
    }

    /// Reads the memory of its zygote, and of some of these workers.
    pub(crate) fn sample_memory(&self, zygote: i32, workers: &[i32]) {
        let spares = self.idle_spares();
        let Ok(memory) = mpfork_sys::processes::memory(zygote) else {
            return;
        };
        // Those that were there all the while.
        let spares = spares.min(self.idle_spares());
        let step = workers.len().div_ceil(saving::READ).max(1);
        let some: Vec<i32> = workers.iter().copied().step_by(step).collect();
        let saving = saving::estimate(&memory, spares, &some, workers.len());
        let mut state = self.state();
        state.memory = Some(crate::processes::to_wire(&memory));
        state.saving = saving;
        state.looked_at_workers |= !some.is_empty();
    }

    /// Whether workers run, and what they save was never looked at. That is not tried again and again where
    /// they have always ended meanwhile: looking holds up forks.
    pub(crate) fn lacks_saving(&self) -> bool {
        self.stats.running() > 0 && !self.state().looked_at_workers
    }

    /// What its workers save by sharing the zygote's memory, if it was sampled.
    pub(crate) fn saving(&self) -> Option<Saving> {
        self.saving_in(&self.state())
    }

    fn saving_in(&self, state: &State) -> Option<Saving> {
        state.saving.filter(|_| self.stats.running() > 0)
    }

    /// What a fork of the warm zygote takes.
    pub(crate) fn fork_time(&self) -> Option<std::time::Duration> {
        self.state().warm()?.fork_time()
    }

    /// What would make starts cheaper, where spawning would be.
    pub(crate) fn advice(&self) -> Option<String> {
        self.state().warm()?.is_dear().map(|dear| dear.advice())
    }

    /// The warm zygote's memory, if it was sampled.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let state = self.state();
        match &state.phase {
            Phase::Warm(_) => state.memory,
            _ => None,
        }
    }

    pub(crate) fn digest(&self) -> String {
        self.state().spec.digest.clone()
    }

    /// The warm zygote's pid.
    pub(crate) fn warm_pid(&self) -> Option<i32> {
        match &self.state().phase {
            Phase::Warm(zygote) => Some(zygote.child.pid),
            _ => None,
        }
    }

    pub(crate) fn wire_state(&self) -> TemplateState {
        wire_state(&self.state())
    }

    /// For the wire.
    pub(crate) fn describe(&self, daemon: &Daemon) -> v1::Template {
        let state = self.state();
        let bounds = state.spares(daemon);
        let zygote = match &state.phase {
            Phase::Warm(zygote) => Some(zygote),
            _ => state.draining.first(),
        };
        let reason = match &state.phase {
            _ if state.superseded => "its program was rebuilt".to_owned(),
            Phase::Warm(_) => String::new(),
            Phase::Cold => match daemon.accepting() {
                Ok(()) => "no zygote: the next start launches one".to_owned(),
                Err(problem) => format!("no zygote: {}", problem.message),
            },
            Phase::Warming => match &*self.progress.borrow() {
                Some(progress) if progress.preload.is_empty() => progress.message.clone(),
                Some(progress) => format!(
                    "loading {} ({} of {})",
                    progress.preload, progress.index, progress.total
                ),
                None => "launching".to_owned(),
            },
            Phase::Backoff { problem, .. } | Phase::Failed { problem, .. } => {
                problem.message.clone()
            }
        };
        // Without forks there is nothing that a preload would serve.
        let forks = daemon.features.has(Feature::Fork);
        let way = if forks {
            StartWay::Fork
        } else {
            StartWay::Spawn
        };
        v1::Template {
            name: self.display.clone(),
            digest: state.spec.digest.clone(),
            state: wire_state(&state).into(),
            reason,
            configured: self.configured,
            program: state.spec.path.as_os_str().as_bytes().to_vec(),
            args: state
                .spec
                .args
                .iter()
                .map(|a| a.to_bytes().to_vec())
                .collect(),
            preloads: state.spec.preloads.clone().unwrap_or_default(),
            zygote_pid: zygote.map_or(0, |zygote| zygote.child.pid),
            preload_time: zygote
                .filter(|_| forks)
                .map(|zygote| to_wire(zygote.preload_time)),
            memory: zygote.and(state.memory),
            workers_running: wire_count(self.stats.running()),
            workers_started: self.stats.started(),
            workers_failed: self.stats.failed(),
            start_latency: Some(self.stats.latency()),
            starts_by_way: self.stats.by_ways(),
            fork_time: state
                .warm()
                .filter(|_| forks)
                .and_then(|zygote| zygote.fork_time())
                .map(to_wire),
            spares_idle: wire_count(state.warm().map_or(0, |zygote| zygote.idle_spares())),
            spares_min: wire_count(bounds.min),
            spares_max: wire_count(bounds.max),
            last_error: state
                .last_error
                .as_ref()
                .map_or_else(String::new, |problem| problem.message.clone()),
            last_trace: state.last_error.as_ref().map_or_else(String::new, trace),
            kept_descriptors: zygote.map_or_else(Vec::new, |zygote| zygote.kept.clone()),
            preload_reports: zygote.map_or_else(Vec::new, |zygote| zygote.reports.clone()),
            build_id: zygote.map_or_else(String::new, |zygote| zygote.build_id.clone()),
            draining_zygotes: wire_count(state.draining.len()),
            advice: state
                .warm()
                .and_then(|zygote| zygote.is_dear())
                .map_or_else(String::new, |dear| dear.advice()),
            saving: self.saving_in(&state),
            way: way.into(),
            compaction: zygote
                .filter(|_| forks)
                .and_then(|zygote| zygote.compaction()),
        }
    }
}

fn wire_count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What is known of an error beyond its message.
fn trace(problem: &Problem) -> String {
    let facts = [problem.get("trace"), problem.get("output")];
    let facts: Vec<&str> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    facts.join("\n")
}

fn wire_state(state: &State) -> TemplateState {
    match &state.phase {
        _ if state.superseded => TemplateState::Draining,
        Phase::Cold => TemplateState::Cold,
        Phase::Warming => TemplateState::Warming,
        Phase::Warm(_) => TemplateState::Warm,
        Phase::Backoff { .. } => TemplateState::Backoff,
        Phase::Failed { .. } => TemplateState::Failed,
    }
}
