//! The service manager, told how mpforkd is: sd_notify(3).

use super::notify;
use crate::daemon::Daemon;
use mpfork_proto::v1::TemplateState;
use sd_notify::NotifyState;
use std::os::unix::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

/// What ending takes beside the grace of the workers: zygotes that leave, connections that close.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// How long mpforkd waits for a manager that does not read, to tell it what it must not miss. What is told
/// again anyway is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: Option<SocketAddr>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
    /// The last status told.
    status: Mutex<String>,
    /// The last time it could not be told.
    deaf: AtomicBool,
}

impl Manager {
    /// As the environment says.
    pub(crate) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|socket| {
            notify::address(&socket)
                .inspect_err(|error| tracing::warn!(%error, "NOTIFY_SOCKET names no socket"))
                .ok()
        });
        Self {
            watchdog: sd_notify::watchdog_enabled().filter(|_| socket.is_some()),
            socket,
            status: Mutex::default(),
            deaf: AtomicBool::default(),
        }
    }

    /// False: it could not be told.
    fn tell(&self, states: &[NotifyState<'_>], patience: Duration) -> bool {
        let Some(socket) = &self.socket else {
            return true;
        };
        let told = notify::notify(socket, states, patience);
        // Once, not for each sign of life.
        let was_deaf = self.deaf.swap(told.is_err(), Ordering::Relaxed);
        if let Err(error) = &told
            && !was_deaf
        {
            tracing::warn!(%error, "can't tell the service manager");
        }
        told.is_ok()
    }

    /// mpforkd serves, for the first time or again after a reload.
    pub(crate) fn ready(&self, status: &str) {
        let status = self.changed(status).unwrap_or_else(|| line(status));
        self.tell(
            &[NotifyState::Ready, NotifyState::Status(&status)],
            PATIENCE,
        );
    }

    /// The configuration is being read again.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                self.tell(&[NotifyState::Reloading, now], PATIENCE);
            }
            Err(error) => tracing::warn!(%error, "can't read the monotonic clock"),
        }
    }

    /// The end has begun, and may take so long.
    pub(crate) fn stopping(&self, grace: Duration) {
        let whole = grace.saturating_add(BEYOND_GRACE);
        let extend = u32::try_from(whole.as_micros()).unwrap_or(u32::MAX);
        let states = [
            NotifyState::Stopping,
            NotifyState::Status("ending workers and zygotes"),
            NotifyState::ExtendTimeoutUsec(extend),
        ];
        self.tell(&states, PATIENCE);
    }

    /// What is going on, when that is news.
    pub(crate) fn status(&self, status: impl FnOnce() -> String) {
        if self.socket.is_some()
            && let Some(status) = self.changed(&status())
            && !self.tell(&[NotifyState::Status(&status)], Duration::ZERO)
        {
            // The next time, then.
            self.told().clear();
        }
    }

    fn changed(&self, status: &str) -> Option<String> {
        let status = line(status);
        let mut told = self.told();
        (*told != status).then(|| {
            told.clone_from(&status);
            status
        })
    }

    fn told(&self) -> MutexGuard<'_, String> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sign of life. To be polled by the loop that serves, so that it is missing when that is stuck.
    pub(crate) fn watchdog(&self) -> Watchdog<'_> {
        let interval = self.watchdog.map(|limit| {
            let period = (limit / 2).max(Duration::from_millis(1));
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Watchdog {
            manager: self,
            interval,
        }
    }
}

/// Tells the manager from time to time that the loop goes round.
#[derive(Debug)]
pub(crate) struct Watchdog<'a> {
    manager: &'a Manager,
    interval: Option<Interval>,
}

impl Watchdog<'_> {
    /// Waits until it is time, and tells. Never ends where there is no watchdog.
    pub(crate) async fn beat(&mut self) {
        match &mut self.interval {
            Some(interval) => {
                interval.tick().await;
                self.manager.tell(&[NotifyState::Watchdog], Duration::ZERO);
            }
            None => std::future::pending().await,
        }
    }
}

/// A status is one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The status of a daemon that serves.
pub(crate) fn summary(daemon: &Daemon) -> String {
    let templates = daemon.templates.all();
    let count = |state| {
        let states = templates.iter().map(|template| template.wire_state());
        states.filter(|s| *s == state).count()
    };
    let failed = count(TemplateState::Failed);
    let draining = if daemon.is_draining() {
        "draining; "
    } else {
        ""
    };
    let mut text = format!(
        "{draining}{} workers; {} templates, {} warm",
        daemon.workers.live(),
        templates.len(),
        count(TemplateState::Warm)
    );
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    if let Some(error) = daemon.settings.error() {
        text.push_str(&format!("; the configuration was not reloaded: {error}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_told_once() {
        let manager = Manager {
            socket: None,
            watchdog: None,
            status: Mutex::default(),
            deaf: AtomicBool::default(),
        };
        assert_eq!(manager.changed("a\nb  c").as_deref(), Some("a b c"));
        assert_eq!(manager.changed("a b c"), None);
        assert_eq!(manager.changed("d").as_deref(), Some("d"));
    }
}
