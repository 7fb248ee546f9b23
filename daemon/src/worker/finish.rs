//! The end of a worker: its status put together, its group cleared, everybody who waits told.

use super::Worker;
use super::table::Place;
use crate::daemon::Daemon;
use crate::events::Record;
use crate::features::Feature;
use mpfork_driver::control::{Control, Reports};
use mpfork_driver::exit::{Known, exit};
use mpfork_proto::Message as _;
use mpfork_proto::v1::{Exit, Process, Rusage};
use mpfork_sys::sentinel;
use nix::libc::SIGKILL;
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// What is known of how a worker ended.
#[derive(Debug)]
pub(crate) enum Status {
    /// From its parent.
    Raw(i32, Option<Rusage>),
    /// Somebody else reaped it.
    Unknown,
}

/// What is known at a worker's end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    /// Its zygote says that processes of its group outlived it.
    pub(crate) leftovers: bool,
}

/// A worker has ended and was reaped.
pub(crate) fn finish(daemon: &Arc<Daemon>, worker: &Arc<Worker>, ended: Ended) {
    if !worker.is_running() {
        return;
    }
    let (control, place, timed_out) = {
        let mut state = worker.state();
        if state.ending {
            return;
        }
        if state.beginning {
            // Whoever started it is reading its reports.
            state.deferred = Some(ended);
            return;
        }
        state.ending = true;
        (state.control.take(), state.place.take(), state.timed_out)
    };
    if let Some(streams) = &worker.streams {
        streams.finish();
    }
    let Ended { status, leftovers } = ended;
    let reports = control.map_or_else(Reports::default, Control::into_reports);
    let (status, rusage) = match status {
        Status::Raw(raw, rusage) => (Some(raw), rusage),
        Status::Unknown => (system_status(daemon, worker), None),
    };
    let known = Known {
        status,
        lost: "its status was collected by something else than its zygote, which could not report it",
        timed_out,
        rusage,
        leftovers: Vec::new(),
        run_time: worker.forked_at.elapsed(),
    };
    let mut exit = exit(known, reports);
    if !daemon.features.has(Feature::GroupSignal) {
        if leftovers {
            // The zygote has killed them, and told that there were some.
            exit.leftovers.push(Process::default());
        }
        conclude(daemon, worker, exit, place);
    } else if has_group(worker) {
        let (daemon, worker) = (Arc::clone(daemon), Arc::clone(worker));
        tokio::spawn(async move {
            exit.leftovers = end_group(&daemon, &worker).await;
            conclude(&daemon, &worker, exit, place);
        });
    } else {
        conclude(daemon, worker, exit, place);
    }
}

/// Everything is known of a worker's end: it is told.
fn conclude(daemon: &Daemon, worker: &Worker, exit: Exit, place: Option<Place>) {
    tracing::debug!(worker = %worker.id, pid = worker.pid, %exit, "worker ended");
    if !exit.leftovers.is_empty() {
        let leftovers = exit.leftovers.len();
        tracing::warn!(worker = %worker.id, leftovers, "processes of its group outlived it, killed");
        daemon.children.note_killed(worker.pid);
    }
    drop(place);
    daemon.workers.ended(worker, exit.encoded_len());
    daemon.peers.disown(worker);
    if !worker.is_provisional() {
        daemon.events.publish(Record::worker_exited(worker, &exit));
    }
    worker.set_exit(exit);
}

/// The status of a worker that somebody else reaped, where the system tells it.
fn system_status(daemon: &Daemon, worker: &Worker) -> Option<i32> {
    if !daemon.features.has(Feature::ExitInfo) {
        return None;
    }
    let status = worker.pidfd().map(|fd| sentinel::exit_status(fd.as_fd()));
    status.and_then(Result::ok).flatten()
}

/// Whether anything is left of an ended worker's group.
fn has_group(worker: &Worker) -> bool {
    let pidfd = worker.pidfd();
    pidfd.is_some_and(|fd| sentinel::signal_group(fd.as_fd(), 0).is_ok())
}

/// Kills what is left of the worker's group and tells what it was.
async fn end_group(daemon: &Daemon, worker: &Worker) -> Vec<Process> {
    let processes = daemon.groups.members(worker.pid).await;
    if let Some(fd) = worker.pidfd()
        && let Err(error) = sentinel::signal_group(fd.as_fd(), SIGKILL)
        && error.raw_os_error() != Some(nix::libc::ESRCH)
    {
        tracing::warn!(worker = %worker.id, %error, "can't kill what is left of its group");
    }
    processes
}
