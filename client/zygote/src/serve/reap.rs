//! Reaping workers, and only workers: preloads may have children of their own.
//!
//! Signals coalesce, so the one whose end a signal names is not the only one that may have ended.
//! With few workers all are asked by name. With many that would take all the time there is: the
//! system is asked for any ended child, and how often is bounded.

use crate::wire::WireError;
use mpfork_proto::link::Exited;
use mpfork_proto::v1::Rusage;
use mpfork_sys::wait::{self, Usage};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
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

/// Tells the supervisor of an exit.
pub(super) type Report<'a> = &'a mut dyn FnMut(Exited) -> Result<(), WireError>;

#[derive(Debug, Default)]
pub(super) struct Reaper {
    /// The workers by pid.
    workers: BTreeMap<i32, u64>,
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
}

impl Reaper {
    pub(super) fn new(end_groups: bool) -> Self {
        Self {
            end_groups,
            ..Self::default()
        }
    }

    /// Has the worker of this pid reaped. When the pid was another's, whom somebody else has reaped
    /// unnoticed, that is reported.
    pub(super) fn watch(
        &mut self,
        pid: i32,
        worker: u64,
        report: Report<'_>,
    ) -> Result<(), WireError> {
        match self.workers.insert(pid, worker) {
            Some(former) => report(Exited {
                worker: former,
                ..Exited::default()
            }),
            None => Ok(()),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.workers.is_empty()
    }

    /// Notes that a signal has named an ended child.
    pub(super) fn note(&mut self, pid: u32) {
        self.stale = true;
        if let Ok(pid) = i32::try_from(pid) {
            self.noted.push(pid);
        }
    }

    /// How long to wait at most; for ever when nothing is left to look at.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let look = if self.stale { self.rested } else { None };
        let next = look.into_iter().chain(self.thorough).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Reaps ended workers, and reports each before the next.
    pub(super) fn reap(&mut self, now: Instant, report: Report<'_>) -> Result<(), WireError> {
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
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, peek).map(|status| status.pid()) {
                Ok(None) => return Ok(()),
                Ok(Some(pid)) if self.workers.contains_key(&pid.as_raw()) => {
                    self.reap_one(pid.as_raw(), report)?;
                }
                // A stranger, which hides those behind it; or a status that has no name.
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
        let Some(&worker) = self.workers.get(&pid) else {
            return Ok(());
        };
        if self.end_groups {
            end_group(pid);
        }
        let reaped = match wait::reap(pid) {
            Ok(None) => return Ok(()),
            Ok(Some(reaped)) => Some(reaped),
            // Somebody else in this process has reaped it.
            Err(_) => None,
        };
        report(Exited {
            worker,
            status: reaped.map(|reaped| reaped.status),
            rusage: reaped.map(|reaped| rusage(&reaped.usage)),
            // Those just killed are still there, if there are any.
            leftovers: self.end_groups && killpg(Pid::from_raw(pid), None).is_ok(),
        })?;
        self.workers.remove(&pid);
        Ok(())
    }
}

/// Kills what is left of an ended worker's group. Until the worker is reaped, its number can't be
/// another group's.
fn end_group(pid: i32) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let pid = Pid::from_raw(pid);
    match waitid(Id::Pid(pid), peek) {
        Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => {}
        // An error besides is a status that has no name.
        Ok(_) | Err(_) => {
            // It may be in another group, or alone.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

fn rusage(usage: &Usage) -> Rusage {
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
