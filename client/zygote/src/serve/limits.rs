//! What a program's own zygote does for its workers by itself, as nobody else would: it ends them when
//! their time is over or their owner has ended. TERM, a grace period, KILL; always the whole group.

use super::reap::Watched;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How a worker is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// It lives on when its owner ends.
    pub(super) keep: bool,
    pub(super) time: Option<Duration>,
    /// Between TERM and KILL.
    pub(super) grace: Duration,
}

/// Between TERM and KILL, when nobody says.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What is to be done to workers, and when.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, i32)>);

impl Timers {
    /// A worker has begun.
    pub(super) fn begun(&mut self, pid: i32, worker: &mut Watched, now: Instant) {
        let limit = worker.limits.and_then(|limits| limits.time);
        // A limit beyond what a clock can hold is none.
        if let Some(end) = limit.and_then(|limit| now.checked_add(limit)) {
            worker.due = Some(end);
            self.0.insert((end, pid));
        }
    }

    /// A worker has ended.
    pub(super) fn ended(&mut self, pid: i32, worker: &Watched) {
        if let Some(due) = worker.due {
            self.0.remove(&(due, pid));
        }
    }

    /// How long until there is something to do.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let (due, _) = self.0.first()?;
        Some(due.saturating_duration_since(now))
    }

    /// Does what is to be done by now.
    pub(super) fn run(&mut self, workers: &mut BTreeMap<i32, Watched>, now: Instant) {
        while let Some(&(due, pid)) = self.0.first() {
            if due > now {
                return;
            }
            self.0.pop_first();
            let Some(worker) = workers.get_mut(&pid) else {
                continue;
            };
            worker.due = None;
            if worker.asked_to_end {
                signal(pid, Signal::SIGKILL);
            } else {
                worker.timed_out = true;
                self.end(pid, worker, now);
            }
        }
    }

    /// Ends the workers of an owner that has ended, but those to be kept.
    pub(super) fn owner_ended(
        &mut self,
        owner: u64,
        workers: &mut BTreeMap<i32, Watched>,
        now: Instant,
    ) {
        for (pid, worker) in workers {
            let ends = worker.limits.is_some_and(|limits| !limits.keep);
            if worker.peer == owner && ends && !worker.asked_to_end {
                self.end(*pid, worker, now);
            }
        }
    }

    fn end(&mut self, pid: i32, worker: &mut Watched, now: Instant) {
        self.ended(pid, worker);
        worker.asked_to_end = true;
        signal(pid, Signal::SIGTERM);
        // A stopped process would not see TERM before it is killed.
        signal(pid, Signal::SIGCONT);
        let grace = worker.limits.map_or(GRACE, |limits| limits.grace);
        worker.due = now.checked_add(grace);
        self.0.extend(worker.due.map(|due| (due, pid)));
    }
}

/// Signals the group of a worker that is not reaped yet, so that the number is its own.
fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid);
    if killpg(pid, signal).is_err() {
        let _ = kill(pid, signal);
    }
}
