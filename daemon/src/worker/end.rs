//! Ending a worker: TERM, a grace period in which everything else goes on, KILL; always the whole
//! group.

use super::Worker;
use crate::daemon::Daemon;
use crate::features::Feature;
use mpfork_sys::sentinel;
use nix::libc::{ESRCH, SIGCONT, SIGKILL, SIGTERM};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// Signals a worker, or its whole group. False: it was gone.
pub(crate) fn signal(
    daemon: &Daemon,
    worker: &Worker,
    signal: i32,
    group: bool,
) -> io::Result<bool> {
    if !worker.is_running() {
        return Ok(false);
    }
    let Some(fd) = worker.pidfd() else {
        return Ok(false);
    };
    let result = if !group {
        sentinel::signal(worker.pid, fd.as_fd(), signal)
    } else if daemon.features.has(Feature::GroupSignal) {
        sentinel::signal_group(fd.as_fd(), signal)
    } else {
        // Only while its leader is known to be unreaped does the number mean this group.
        sentinel::signal(worker.pid, fd.as_fd(), 0).and_then(|()| {
            let group = nix::unistd::Pid::from_raw(-worker.pid);
            let signal = nix::sys::signal::Signal::try_from(signal).map_err(io::Error::from)?;
            nix::sys::signal::kill(group, signal).map_err(io::Error::from)
        })
    };
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Ends a worker and waits until it has ended.
pub(crate) async fn end(daemon: &Daemon, worker: &Arc<Worker>, grace: Duration) {
    let send = |number: i32| {
        if let Err(error) = signal(daemon, worker, number, true) {
            tracing::warn!(worker = %worker.id, signal = number, %error, "can't signal");
        }
    };
    send(SIGTERM);
    // A stopped process would not see TERM before it is killed.
    send(SIGCONT);
    if tokio::time::timeout(grace, worker.ended()).await.is_err() {
        tracing::info!(worker = %worker.id, ?grace, "still running after TERM, killed");
        send(SIGKILL);
        worker.ended().await;
    }
}

/// Ends a worker when its wall-clock limit has passed.
pub(crate) fn watch_time_limit(daemon: &Arc<Daemon>, worker: &Arc<Worker>, limit: Duration) {
    let (daemon, worker) = (Arc::clone(daemon), Arc::clone(worker));
    tokio::spawn(async move {
        let left = limit.saturating_sub(worker.forked_at.elapsed());
        if tokio::time::timeout(left, worker.ended()).await.is_err() && worker.is_running() {
            worker.set_timed_out(limit);
            end(&daemon, &worker, worker.grace).await;
        }
    });
}
