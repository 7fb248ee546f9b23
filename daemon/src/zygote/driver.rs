//! Reads a zygote's link to its end: forks reported, exits reported, and what to do when it dies.

use super::link::Incoming;
use super::spares::Spare;
use super::{Answered, ForkReply, Gone, Pending, Zygote};
use crate::children::adopt;
use crate::daemon::Daemon;
use crate::template::Template;
use crate::worker::finish::{Ended, Status, finish};
use crate::worker::{Seed, Worker};
use mpfork_proto::link::zygote_frame::Frame;
use mpfork_proto::link::{Exited, ForkFailed, Forked};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::{sentinel, wait};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker whose zygote died in the middle of forking it gets to report itself.
const REPORT_TIME: Duration = Duration::from_secs(2);

/// Serves one zygote until its link ends.
pub(crate) async fn drive(
    daemon: Arc<Daemon>,
    template: Arc<Template>,
    zygote: Arc<Zygote>,
    mut incoming: Incoming,
) {
    let why = loop {
        match zygote.link.receive(&mut incoming).await {
            Ok(Some((frame, descriptors))) => match frame {
                Frame::Forked(forked) => {
                    on_forked(&daemon, &template, &zygote, &forked, descriptors)
                }
                Frame::ForkFailed(failed) => on_fork_failed(&template, &zygote, failed),
                Frame::Exited(exited) => {
                    on_exited(&daemon, &template, &zygote, &exited);
                    refill(&daemon, &template, &zygote);
                }
                Frame::Compaction(compaction) => zygote.compacted(compaction),
                Frame::Welcome(_)
                | Frame::Progress(_)
                | Frame::Ready(_)
                | Frame::PreloadFailed(_) => {
                    tracing::warn!(zygote = zygote.child.pid, "a frame out of turn, ignored");
                }
            },
            Ok(None) => break Gone::Closed,
            Err(error) => break Gone::Link(error),
        }
    };
    on_gone(&daemon, &template, &zygote, &why).await;
}

/// Has spares forked after a worker's end, when whoever waits for that has been told.
fn refill(daemon: &Arc<Daemon>, template: &Arc<Template>, zygote: &Arc<Zygote>) {
    if zygote.ended(template.spares(daemon)) {
        let (daemon, template) = (Arc::clone(daemon), Arc::clone(template));
        let zygote = Arc::clone(zygote);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            zygote.refill_after_end(&daemon, template.spares(&daemon));
        });
    }
}

fn on_forked(
    daemon: &Arc<Daemon>,
    template: &Template,
    zygote: &Zygote,
    forked: &Forked,
    descriptors: Vec<OwnedFd>,
) {
    let number = forked.worker;
    let pidfd = sentinel::of_news(forked.pid, descriptors.into_iter().next()).ok();
    if let Some(took) = forked.took.and_then(|took| took.try_into().ok()) {
        zygote.state().spares.fork_took(took);
        if let Some(dear) = zygote.turned_dear() {
            template.warn_dear(daemon, zygote, dear);
        }
    }
    match zygote.answered(number) {
        Answered::Start(pending) => {
            let Some(pidfd) = pidfd else {
                let problem = Problem::new(
                    Reason::Internal,
                    "the zygote reported a fork without the worker's pidfd",
                );
                let _ = pending.reply.send(ForkReply::Failed(problem));
                return;
            };
            let Pending { seed, reply } = pending;
            let (worker, pidfd) = enroll(daemon, *seed, forked.pid, pidfd);
            zygote.enrolled(number, &worker);
            let _ = reply.send(ForkReply::Forked(worker, pidfd));
        }
        Answered::Spare => {
            let mut state = zygote.state();
            match pidfd {
                Some(pidfd) => state.spares.forked(number, forked.pid, pidfd),
                None => state.spares.failed(number),
            }
        }
        Answered::GivenUp => {
            // Its socket is closed, and it ends when it notices; or it noticed nothing, as it was the
            // zygote that was slow.
            tracing::debug!(worker = number, "forked after it was given up, killed");
            if let Some(pidfd) = pidfd {
                let _ = sentinel::signal(forked.pid, pidfd.as_fd(), nix::libc::SIGKILL);
            }
        }
    }
}

/// There is a worker: from here on its exit is awaited.
pub(crate) fn enroll(
    daemon: &Arc<Daemon>,
    mut seed: Seed,
    pid: i32,
    pidfd: OwnedFd,
) -> (Arc<Worker>, Arc<OwnedFd>) {
    seed.place.forked();
    let time_limit = seed.time_limit;
    let owner = seed.owner.owner();
    let pidfd = Arc::new(pidfd);
    let worker = Arc::new(Worker::new(seed, pid, Arc::clone(&pidfd)));
    if let Some(streams) = &worker.streams {
        streams.begin();
    }
    daemon.workers.insert(&worker);
    if let Some(owner) = owner {
        daemon.peers.own(daemon, owner, &worker);
    }
    if let Some(limit) = time_limit {
        crate::worker::end::watch_time_limit(daemon, &worker, limit);
    }
    (worker, pidfd)
}

fn on_fork_failed(template: &Template, zygote: &Zygote, failed: ForkFailed) {
    let pending = match zygote.answered(failed.worker) {
        Answered::Start(pending) => pending,
        Answered::Spare => {
            let message = &failed.message;
            tracing::debug!(template = template.display, message, "can't fork a spare");
            zygote.state().spares.failed(failed.worker);
            return;
        }
        Answered::GivenUp => return,
    };
    zygote.publish(&zygote.state());
    let reply = if failed.errno == nix::libc::ESHUTDOWN {
        // A spare that was asked for before the zygote was told to leave, and assigned meanwhile.
        ForkReply::Gone
    } else {
        ForkReply::Failed(mpfork_driver::failed::fork(&template.display, failed))
    };
    let _ = pending.reply.send(reply);
}

fn on_exited(daemon: &Arc<Daemon>, template: &Template, zygote: &Zygote, exited: &Exited) {
    let mut state = zygote.state();
    let Some(worker) = state.running.remove(&exited.worker) else {
        let was_spare = state.spares.ended(exited.worker);
        drop(state);
        if was_spare {
            let raw = exited.status;
            tracing::debug!(zygote = zygote.child.pid, raw, "a spare ended unasked");
            zygote.replace_spares(daemon, template.spares(daemon));
        }
        return;
    };
    drop(state);
    let status = match exited.status {
        Some(status) => Status::Raw(status, exited.rusage),
        None => Status::Unknown,
    };
    let ended = Ended {
        status,
        leftovers: exited.leftovers,
    };
    finish(daemon, &worker, ended);
    zygote.publish(&zygote.state());
}

/// The link has ended. Its running workers are children of mpforkd now, as it is a subreaper.
async fn on_gone(daemon: &Arc<Daemon>, template: &Arc<Template>, zygote: &Arc<Zygote>, why: &Gone) {
    let (asked, pending, running, spares) = {
        let mut state = zygote.state();
        let asked = std::mem::replace(&mut state.leaving, true);
        let pending = std::mem::take(&mut state.pending);
        zygote.link.expect_at_most(0);
        let spares = state.spares.clear();
        (asked, pending, std::mem::take(&mut state.running), spares)
    };
    if asked {
        // Its exit handlers run now.
        let _ = tokio::time::timeout(daemon.config().timeouts.grace, zygote.child.ended()).await;
    }
    // It may have closed its link only.
    zygote.child.kill();
    let status = zygote.child.ended().await;
    for (_, pending) in pending {
        tokio::spawn(recover(Arc::clone(daemon), pending));
    }
    // Until here they wait for assignments; before, they might be reaped as somebody's.
    for spare in &spares {
        if is_child(spare.pid) {
            daemon.children.disregard(spare.pid);
        }
    }
    spares.into_iter().for_each(Spare::end);
    let adopted = running.len();
    for (_, worker) in running {
        adopt(daemon, &worker);
    }
    if asked {
        tracing::info!(
            template = template.display,
            zygote = zygote.child.pid,
            "zygote left"
        );
    } else {
        tracing::warn!(
            template = template.display,
            zygote = zygote.child.pid,
            %status,
            adopted,
            "zygote died: {why}"
        );
    }
    zygote.running.send_replace(0);
    zygote.gone.send_replace(true);
    template.on_gone(daemon, zygote, asked, &status.to_string());
}

/// A Fork without an answer: the worker may exist, and then has reported itself or is about to.
async fn recover(daemon: Arc<Daemon>, mut pending: Pending) {
    let deadline = Instant::now() + REPORT_TIME;
    loop {
        pending.seed.control.drain();
        let reports = &pending.seed.control.reports;
        if let Some(pid) = reports.applied.as_ref().map(|applied| applied.pid) {
            return recovered(&daemon, pending, pid);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut over = reports.closed || left.is_zero();
        if !over {
            let received = pending.seed.control.receive();
            over = tokio::time::timeout(left, received).await.is_err();
        }
        if over {
            // Without its supervisor's end the worker, should there be one, ends before it begins;
            // unless it began in this very moment.
            pending.seed.control.close();
            if let Some(applied) = &pending.seed.control.reports.applied {
                let pid = applied.pid;
                return recovered(&daemon, pending, pid);
            }
            let _ = pending.reply.send(ForkReply::Gone);
            return;
        }
    }
}

/// The worker began: it is a child of mpforkd, as its zygote is gone.
fn recovered(daemon: &Arc<Daemon>, pending: Pending, pid: i32) {
    if is_child(pid)
        && let Ok(pidfd) = sentinel::open(pid)
    {
        let Pending { seed, reply } = pending;
        let (worker, pidfd) = enroll(daemon, *seed, pid, pidfd);
        adopt(daemon, &worker);
        let _ = reply.send(ForkReply::Forked(worker, pidfd));
        return;
    }
    let id = pending.seed.id;
    let ended = daemon.children.take_stray(pid).map_or_else(
        || "its status is unknown".to_owned(),
        |reaped| format!("it ended with raw status {}", reaped.status),
    );
    let problem = Problem::new(
        Reason::WorkerLost,
        format!("worker {id} ran, but its zygote died before its start was reported: {ended}"),
    )
    .with("worker", id)
    .with("message", ended);
    let _ = pending.reply.send(ForkReply::Failed(problem));
}

/// Whether mpforkd has a child of this pid, which is its own then until mpforkd reaps it.
fn is_child(pid: i32) -> bool {
    let no_child = |error: &std::io::Error| error.raw_os_error() == Some(nix::libc::ECHILD);
    pid > 0 && !wait::has_ended(pid).is_err_and(|error| no_child(&error))
}
