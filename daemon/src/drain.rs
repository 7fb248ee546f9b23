//! Draining: no more starts, while what runs goes on to its end. Unlike the daemon's end it can be
//! undone.

use crate::daemon::Daemon;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How a drain is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// When workers that still run are ended.
    pub(crate) deadline: Option<Instant>,
    /// Between TERM and KILL then.
    pub(crate) grace: Duration,
    /// The daemon ends when it is drained.
    pub(crate) exit: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Starts are taken.
    Accepting,
    Draining(Order),
    /// Nothing runs any more.
    Drained,
}

/// Whether the daemon drains.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<State>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(State::Accepting))
    }
}

impl Drain {
    pub(crate) fn state(&self) -> State {
        *self.0.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

/// Takes no more starts. Zygotes leave as soon as their own workers have ended. A later order takes
/// the place of the one before.
pub(crate) fn begin(daemon: &Arc<Daemon>, order: Order) {
    tracing::info!(exit = order.exit, "draining: no more starts are taken");
    daemon.drain.0.send_replace(State::Draining(order));
    for template in daemon.templates.all() {
        template.cool(daemon, "mpforkd drains");
    }
}

/// Takes starts again.
pub(crate) fn undo(daemon: &Arc<Daemon>) {
    let before = daemon.drain.0.send_replace(State::Accepting);
    if before != State::Accepting {
        tracing::info!("draining is over: starts are taken again");
        crate::run::warm_configured(daemon);
    }
}

/// Carries orders out, as long as it is polled.
pub(crate) async fn follow(daemon: Arc<Daemon>) {
    let mut state = daemon.drain.subscribe();
    loop {
        let now = *state.borrow_and_update();
        let drained = async {
            match now {
                State::Draining(order) => {
                    empty(&daemon, order).await;
                    order
                }
                State::Accepting | State::Drained => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives in `daemon`, so the wait can't fail.
            _ = state.changed() => {}
            order = drained => {
                tracing::info!("drained: nothing runs any more");
                daemon.drain.0.send_replace(State::Drained);
                if order.exit {
                    crate::shutdown::begin(&daemon, order.grace);
                }
            }
        }
    }
}

/// Waits until no worker runs, and sees to it when the deadline has passed.
async fn empty(daemon: &Arc<Daemon>, order: Order) {
    let late = async {
        match order.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = daemon.workers.none_live() => return,
        () = late => {}
    }
    tracing::info!("the deadline has passed: workers that still run are ended");
    crate::shutdown::workers_end(daemon, order.grace).await;
}
