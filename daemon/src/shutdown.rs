//! The end: in order on the first signal, at once on the second.

use crate::daemon::{Daemon, Ending};
use crate::worker::end;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long zygotes get to leave.
const ZYGOTES: Duration = Duration::from_secs(2);
/// How long what was left of workers' groups and killed gets to be gone: on a busy machine it may have
/// to wait for its last turn.
const KILLED: Duration = Duration::from_secs(3);
/// How long everything else that dies gets to be reaped. What a worker put out of its group lives on, and
/// is waited for in vain.
const DYING: Duration = Duration::from_millis(500);

/// The signals mpforkd listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    child: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: signal(SignalKind::child())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Reaps children, reads the configuration again on SIGHUP, and turns the others into the end.
    pub(crate) async fn handle(mut self, daemon: Arc<Daemon>) {
        // Reading may take its time. A signal that comes meanwhile has it read once more.
        let reloads = async {
            while self.hangup.recv().await.is_some() {
                crate::reload::reload(&daemon).await;
            }
        };
        let others = async {
            loop {
                tokio::select! {
                    _ = self.child.recv() => crate::children::reap_all(&daemon),
                    _ = self.terminate.recv() => on_signal(&daemon, "SIGTERM"),
                    _ = self.interrupt.recv() => on_signal(&daemon, "SIGINT"),
                }
            }
        };
        tokio::join!(reloads, others);
    }
}

fn on_signal(daemon: &Daemon, name: &str) {
    if daemon.is_shutting_down() {
        tracing::warn!("{name} again: ending at once");
        daemon.ending.send_replace(Ending::Now);
    } else {
        tracing::info!("{name}: ending in order");
        begin(daemon, daemon.config().timeouts.grace);
    }
}

/// Begins to end in order; nothing when it has begun.
pub(crate) fn begin(daemon: &Daemon, grace: Duration) {
    let begun = daemon.ending.send_if_modified(|ending| {
        let first = *ending == Ending::No;
        if first {
            *ending = Ending::InOrder(grace);
        }
        first
    });
    if begun {
        daemon.manager.stopping(grace);
    }
}

/// Waits until the end was asked for and everything that ran has ended.
pub(crate) async fn ended(daemon: &Arc<Daemon>) {
    let mut ending = daemon.ending.subscribe();
    // The sender lives in `daemon`, so the waits can't fail.
    let _ = ending.wait_for(|ending| *ending != Ending::No).await;
    let now = async {
        let mut ending = daemon.ending.subscribe();
        let _ = ending.wait_for(|ending| *ending == Ending::Now).await;
    };
    tokio::select! {
        () = in_order(daemon) => tracing::info!("everything has ended"),
        () = now => at_once(daemon),
    }
}

async fn in_order(daemon: &Arc<Daemon>) {
    let grace = match *daemon.ending.borrow() {
        Ending::InOrder(grace) => grace,
        Ending::No | Ending::Now => Duration::ZERO,
    };
    workers_end(daemon, grace).await;
    for template in daemon.templates.all() {
        template.cool(daemon, "mpforkd ends");
    }
    let left = async {
        while daemon.children.zygotes() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(ZYGOTES, left).await.is_err() {
        daemon.children.kill_all();
    }
    let killed = async {
        while daemon.children.any_killed() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = tokio::time::timeout(KILLED, killed).await;
    let reaped = async {
        while crate::children::any() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = tokio::time::timeout(DYING, reaped).await;
}

/// Ends all workers. Starts that were under way come out as workers or errors; none begins any more.
pub(crate) async fn workers_end(daemon: &Arc<Daemon>, grace: Duration) {
    let stuck = async {
        tokio::time::sleep(grace.saturating_add(ZYGOTES)).await;
        // Every worker was killed by now. A zygote that does not tell is stuck itself; without it its
        // workers are mpforkd's own.
        tracing::warn!("workers were killed and not reported, their zygotes are killed");
        daemon.children.kill_all();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = all_end(daemon, grace) => {}
        () = stuck => {}
    }
}

async fn all_end(daemon: &Arc<Daemon>, grace: Duration) {
    loop {
        let mut ends = tokio::task::JoinSet::new();
        for worker in daemon.workers.running() {
            let daemon = Arc::clone(daemon);
            ends.spawn(async move { end::end(&daemon, &worker, grace).await });
        }
        if ends.is_empty() && daemon.workers.live() == 0 {
            break;
        }
        if ends.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while ends.join_next().await.is_some() {}
    }
}

fn at_once(daemon: &Daemon) {
    for worker in daemon.workers.running() {
        let _ = end::signal(daemon, &worker, nix::libc::SIGKILL, true);
    }
    daemon.children.kill_all();
}
