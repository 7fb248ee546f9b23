//! mpforkd's children, and the one place that reaps them: zygotes, workers whose zygote died, and
//! strangers that a worker or a preload left behind.

use crate::daemon::Daemon;
use crate::features::Feature;
use crate::worker::Worker;
use crate::worker::finish::{self, Status, finish};
use mpfork_driver::exit::ChildStatus;
use mpfork_proto::exit::Ended;
use mpfork_proto::v1::Rusage;
use mpfork_sys::wait::{Reaped, ended_child, reap};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A zygote as a child process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    ended: watch::Sender<Option<ChildStatus>>,
}

impl Child {
    /// Waits until it has been reaped.
    pub(crate) async fn ended(&self) -> ChildStatus {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or(ChildStatus(Ended::Code(0))),
            Err(_) => ChildStatus(Ended::Code(0)),
        }
    }

    /// Kills it, and what it has in its own process group. Its workers have their own.
    pub(crate) fn kill(&self) {
        // Reaping and this run on one thread, so the numbers are still this child's.
        if self.ended.borrow().is_none() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            let _ = kill(Pid::from_raw(-self.pid), Signal::SIGKILL);
        }
    }
}

/// How many reaped strangers are remembered, should one turn out to be a worker.
const STRAYS: usize = 1024;
/// For how long. Later the number may be another process's.
const STRAY_TIME: Duration = Duration::from_secs(10);

/// All children.
#[derive(Debug, Default)]
pub(crate) struct Children {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    zygotes: HashMap<i32, Arc<Child>>,
    /// Reaped without being known, newest last: a worker may be reaped before its zygote's last
    /// words are read.
    strays: VecDeque<Stray>,
    strangers: u64,
    /// Children that nobody wants to know of.
    disregarded: HashSet<i32>,
    /// Groups of workers of which processes were left and killed.
    killed: Vec<i32>,
}

#[derive(Debug)]
struct Stray {
    pid: i32,
    reaped: Reaped,
    at: Instant,
}

impl Children {
    /// A zygote was launched.
    pub(crate) fn add(&self, pid: i32) -> Arc<Child> {
        let child = Arc::new(Child {
            pid,
            ended: watch::Sender::new(None),
        });
        self.table().zygotes.insert(pid, Arc::clone(&child));
        child
    }

    /// How many zygotes live.
    pub(crate) fn zygotes(&self) -> usize {
        self.table().zygotes.len()
    }

    /// Kills every zygote.
    pub(crate) fn kill_all(&self) {
        let zygotes: Vec<_> = self.table().zygotes.values().cloned().collect();
        for zygote in zygotes {
            zygote.kill();
        }
    }

    /// This process is a child now, and how it ends is nobody's business.
    pub(crate) fn disregard(&self, pid: i32) {
        self.table().disregarded.insert(pid);
    }

    /// What was left of a worker's group was killed; it is gone as soon as it gets the time for that.
    pub(crate) fn note_killed(&self, group: i32) {
        let mut table = self.table();
        table.killed.retain(|group| exists(*group));
        table.killed.push(group);
    }

    /// Whether anything that was killed so is still there.
    pub(crate) fn any_killed(&self) -> bool {
        let mut table = self.table();
        table.killed.retain(|group| exists(*group));
        !table.killed.is_empty()
    }

    /// Reaped processes that were nobody's.
    pub(crate) fn strangers(&self) -> u64 {
        self.table().strangers
    }

    /// The status of a process that was reaped as a stranger, a moment ago.
    pub(crate) fn take_stray(&self, pid: i32) -> Option<Reaped> {
        let mut table = self.table();
        let position = table
            .strays
            .iter()
            .rposition(|stray| stray.pid == pid && stray.at.elapsed() < STRAY_TIME)?;
        table.strangers = table.strangers.saturating_sub(1);
        table.strays.remove(position).map(|stray| stray.reaped)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a group has a process, dead or alive.
fn exists(group: i32) -> bool {
    kill(Pid::from_raw(-group), None).is_ok()
}

/// Whether there is any child, dead or alive.
pub(crate) fn any() -> bool {
    !ended_child().is_err_and(|error| error.raw_os_error() == Some(nix::libc::ECHILD))
}

/// Reaps every child that has ended.
pub(crate) fn reap_all(daemon: &Arc<Daemon>) {
    // Nothing more, or no children at all, ends it.
    while let Ok(Some(pid)) = ended_child() {
        if !reap_one(daemon, pid) {
            return;
        }
    }
}

/// Reaps a child that has ended; false when that can't be.
fn reap_one(daemon: &Arc<Daemon>, pid: i32) -> bool {
    // While it is a zombie its number is its own.
    let worker = daemon
        .workers
        .by_pid(pid)
        .filter(|worker| worker.is_unreaped());
    let zygote = daemon.children.table().zygotes.contains_key(&pid);
    let ends_group = worker.is_some() && !daemon.features.has(Feature::GroupSignal);
    let group = Pid::from_raw(-pid);
    if zygote || ends_group {
        // What a zygote's preloads left goes with it; so does what is left of a worker's group.
        let _ = kill(group, Signal::SIGKILL);
    }
    match reap(pid) {
        Ok(Some(reaped)) => {
            let leftovers = ends_group && kill(group, None).is_ok();
            reaped_one(daemon, pid, reaped, worker, leftovers);
            true
        }
        Ok(None) => false,
        Err(error) => {
            tracing::error!(pid, %error, "can't reap a child");
            false
        }
    }
}

fn reaped_one(
    daemon: &Arc<Daemon>,
    pid: i32,
    reaped: Reaped,
    worker: Option<Arc<Worker>>,
    leftovers: bool,
) {
    let (zygote, disregarded) = {
        let mut table = daemon.children.table();
        // Whoever it was, the number is free from here on.
        (table.zygotes.remove(&pid), table.disregarded.remove(&pid))
    };
    if let Some(child) = zygote {
        let status = ChildStatus(Ended::from_raw(reaped.status));
        child.ended.send_replace(Some(status));
        return;
    }
    if let Some(worker) = worker {
        tracing::debug!(worker = %worker.id, pid, "reaped a worker whose zygote died");
        finish(daemon, &worker, adopted(&reaped, leftovers));
        return;
    }
    if disregarded {
        return;
    }
    let mut table = daemon.children.table();
    table.strangers += 1;
    table.strays.push_back(Stray {
        pid,
        reaped,
        at: Instant::now(),
    });
    if table.strays.len() > STRAYS {
        table.strays.pop_front();
    }
    drop(table);
    tracing::debug!(pid, "reaped a stranger");
}

fn adopted(reaped: &Reaped, leftovers: bool) -> finish::Ended {
    finish::Ended {
        status: Status::Raw(reaped.status, Some(rusage(reaped))),
        leftovers,
    }
}

fn rusage(reaped: &Reaped) -> Rusage {
    let usage = &reaped.usage;
    Rusage {
        user: Some(crate::convert::to_wire(usage.user)),
        system: Some(crate::convert::to_wire(usage.system)),
        max_rss_bytes: usage.max_rss_bytes,
        minor_faults: usage.minor_faults,
        major_faults: usage.major_faults,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
}

/// The zygote of a running worker is gone: mpforkd is its parent now and reaps it, or has already.
///
/// A worker that its zygote reaped without reporting it is no child of mpforkd; its pidfd then tells.
pub(crate) fn adopt(daemon: &Arc<Daemon>, worker: &Arc<Worker>) {
    if !worker.is_running() {
        return;
    }
    // Everything that is ours to reap is reaped here; afterwards what is neither ended nor alive was
    // reaped before its worker was known, or by the zygote.
    reap_all(daemon);
    if !worker.is_running() || worker.is_unreaped() {
        return;
    }
    let ended = match daemon.children.take_stray(worker.pid) {
        Some(reaped) => adopted(&reaped, false),
        None => finish::Ended {
            status: Status::Unknown,
            leftovers: false,
        },
    };
    finish(daemon, worker, ended);
}
