//! Reaping workers, and only workers: preloads may have children of their own.
//!
//! Signals coalesce, so the one whose end a signal names is not the only one that may have ended.
//! With few workers all are asked by name. With many that would take all the time there is: the
//! system is asked for any ended child, and how often is bounded.

use super::limits::{Limits, Timers};
use crate::groups;
use crate::wire::WireError;
use mpfork_proto::link::Exited;
use mpfork_proto::v1::Rusage;
use mpfork_sys::wait::{self, Usage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Up to this many workers are asked by name each time.
const FEW: usize = 64;
/// Looking for ended children takes at most one part in so many of the time...
const SHARE: u32 = 20;
/// ...but an end is noticed within this time.
const PATIENCE: Duration = Duration::from_millis(20);

/// An end that only shows by name, since somebody else has reaped the worker, within this time.
const THOROUGH: Duration = Duration::from_secs(1);

/// Tells who asked for a worker of its exit.
pub(super) type Report<'a> = &'a mut dyn FnMut(u64, Exited) -> Result<(), WireError>;

/// A worker whose end is awaited.
#[derive(Debug)]
pub(super) struct Watched {
    /// Who asked for it, and what it calls it.
    pub(super) peer: u64,
    worker: u64,
    /// Set in a program's own zygote.
    pub(super) limits: Option<Limits>,
    /// When the zygote is to do something about it.
    pub(super) due: Option<Instant>,
    pub(super) asked_to_end: bool,
    pub(super) timed_out: bool,
    begun: Instant,
}

impl Watched {
    pub(super) fn new(peer: u64, worker: u64, limits: Limits) -> Self {
        Self {
            peer,
            worker,
            limits: Some(limits),
            due: None,
            asked_to_end: false,
            timed_out: false,
            begun: Instant::now(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// The workers by pid.
    workers: BTreeMap<i32, Watched>,
    /// The pids that signals have named.
    noted: Vec<i32>,
    /// Whether a signal came since the last look for any ended child.
    stale: bool,
    /// No such look before this time.
    rested: Option<Instant>,
    /// When all are to be asked by name.
    thorough: Option<Instant>,
    /// Whether what is left of a worker's group is to be killed.
    end_groups: bool,
    /// Whether this is a program's own zygote, which sees to its workers' limits.
    embedded: bool,
    timers: Timers,
}

impl Reaper {
    pub(super) fn new(end_groups: bool, embedded: bool) -> Self {
        Self {
            end_groups,
            embedded,
            ..Self::default()
        }
    }

    /// Has the worker of this pid reaped. When the pid was another's, whom somebody else has reaped
    /// unnoticed, that is reported.
    pub(super) fn watch(
        &mut self,
        pid: i32,
        mut worker: Watched,
        report: Report<'_>,
    ) -> Result<(), WireError> {
        if self.embedded {
            self.timers.begun(pid, &mut worker, Instant::now());
        } else {
            // Its supervisor sees to them.
            worker.limits = None;
        }
        match self.workers.insert(pid, worker) {
            Some(former) => {
                self.timers.ended(pid, &former);
                let exited = Exited {
                    worker: former.worker,
                    ..Exited::default()
                };
                report(former.peer, exited)
            }
            None => Ok(()),
        }
    }

    /// Ends the workers of an owner that has ended, in a program's own zygote.
    pub(super) fn owner_ended(&mut self, owner: u64) {
        self.timers
            .owner_ended(owner, &mut self.workers, Instant::now());
    }

    pub(super) fn is_idle(&self) -> bool {
        self.workers.is_empty()
    }

    /// When the worker began that has run longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.workers.values().map(|worker| worker.begun).min()
    }

    /// Notes that a signal has told of an ended child, and has named it where it does.
    pub(super) fn note(&mut self, pid: Option<i32>) {
        self.stale = true;
        self.noted.extend(pid);
    }

    /// How long to wait at most; for ever when nothing is left to look at.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let look = if self.stale { self.rested } else { None };
        let next = look.into_iter().chain(self.thorough).min();
        let next = next.map(|next| next.saturating_duration_since(now));
        next.into_iter().chain(self.timers.next(now)).min()
    }

    /// Reaps ended workers, and reports each before the next.
    pub(super) fn reap(&mut self, now: Instant, report: Report<'_>) -> Result<(), WireError> {
        self.timers.run(&mut self.workers, now);
        for pid in std::mem::take(&mut self.noted) {
            self.reap_one(pid, report)?;
        }
        if self.stale && self.workers.len() <= FEW {
            return self.reap_by_name(report);
        }
        if self.thorough.is_some_and(|due| due <= now) {
            self.reap_by_name(report)?;
            self.rest(now);
        }
        if self.stale && self.rested.is_none_or(|rested| rested <= now) {
            self.reap_any(report)?;
            self.rest(now);
        }
        Ok(())
    }

    fn rest(&mut self, begun: Instant) {
        let took = begun.elapsed();
        let pause = took.saturating_mul(SHARE - 1).min(PATIENCE);
        self.rested = Some(begun + took + pause);
    }

    fn reap_any(&mut self, report: Report<'_>) -> Result<(), WireError> {
        self.stale = false;
        self.thorough
            .get_or_insert_with(|| Instant::now() + THOROUGH);
        loop {
            match wait::ended_child() {
                Ok(None) => return Ok(()),
                Ok(Some(pid)) if self.workers.contains_key(&pid) => self.reap_one(pid, report)?,
                // A stranger, which hides those behind it.
                Ok(Some(_)) | Err(_) => return self.reap_by_name(report),
            }
        }
    }

    fn reap_by_name(&mut self, report: Report<'_>) -> Result<(), WireError> {
        self.stale = false;
        self.thorough = None;
        let pids: Vec<i32> = self.workers.keys().copied().collect();
        pids.into_iter()
            .try_for_each(|pid| self.reap_one(pid, report))
    }

    fn reap_one(&mut self, pid: i32, report: Report<'_>) -> Result<(), WireError> {
        let Some(watched) = self.workers.get(&pid) else {
            return Ok(());
        };
        // Until it is reaped here its number is its own. That it is not there, which is an error, somebody
        // else has seen to, and the number may be another's.
        let ended = match self.embedded || self.end_groups {
            true => wait::has_ended(pid),
            // Reaping asks as well.
            false => Ok(true),
        };
        if matches!(ended, Ok(false)) {
            return Ok(());
        }
        // By its pidfd a group can be asked for, named and killed after its leader was reaped.
        let group = match self.embedded && ended.is_ok() {
            true => groups::Led::by(pid),
            false => None,
        };
        let end_blindly = ended.is_ok() && (self.end_groups || (self.embedded && group.is_none()));
        if end_blindly {
            // It may be in another group, or alone.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let reaped = match wait::reap(pid) {
            Ok(None) => return Ok(()),
            Ok(Some(reaped)) => Some(reaped),
            // Somebody else in this process has reaped it.
            Err(_) => None,
        };
        let left = group.map(groups::Led::end).unwrap_or_default();
        let exited = Exited {
            worker: watched.worker,
            status: reaped.map(|reaped| reaped.status),
            rusage: reaped.map(|reaped| rusage(&reaped.usage)),
            // Those just killed are still there, if there are any.
            leftovers: !left.is_empty()
                || (end_blindly && killpg(Pid::from_raw(pid), None).is_ok()),
            left,
            timed_out: watched.timed_out,
            run_time: watched.begun.elapsed().try_into().ok(),
        };
        report(watched.peer, exited)?;
        if let Some(watched) = self.workers.remove(&pid) {
            self.timers.ended(pid, &watched);
        }
        Ok(())
    }
}

/// What a process used, as it is told.
#[must_use]
pub fn rusage(usage: &Usage) -> Rusage {
    Rusage {
        user: usage.user.try_into().ok(),
        system: usage.system.try_into().ok(),
        max_rss_bytes: usage.max_rss_bytes,
        minor_faults: usage.minor_faults,
        major_faults: usage.major_faults,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
}
