//! Takes no more starts, and tells when nothing runs any more.

use super::{Call, Streamed};
use crate::convert::from_wire;
use crate::daemon::Daemon;
use crate::drain::{self, Order, State};
use futures_util::stream;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{DrainRequest, DrainResponse, DrainState};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

pub(super) async fn serve(call: Call<DrainRequest>) -> Result<Streamed<DrainResponse>, Problem> {
    let (daemon, request) = (call.daemon, call.message);
    let order = order(&daemon, request)?;
    daemon.not_ending()?;
    match order {
        Some(order) => drain::begin(&daemon, order),
        None => drain::undo(&daemon),
    }
    let follower = Follower {
        states: daemon.drain.subscribe(),
        workers: daemon.workers.watch_live(),
        begun: false,
        over: false,
    };
    let news = stream::unfold(follower, async |mut follower| {
        let news = follower.next().await?;
        Some((Ok(news), follower))
    });
    Ok(Box::pin(news))
}

/// What is asked for; `None`: to undo it.
fn order(daemon: &Arc<Daemon>, request: DrainRequest) -> Result<Option<Order>, Problem> {
    if request.undo {
        let set = [
            ("deadline", request.deadline.is_some()),
            ("grace", request.grace.is_some()),
            ("exit", request.exit),
        ];
        return match set.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(Problem::bad_request(field, "does not go with undo")),
            None => Ok(None),
        };
    }
    let deadline = request.deadline.map(|deadline| {
        let deadline = from_wire("deadline", deadline)?;
        Ok::<_, Problem>(Instant::now() + deadline)
    });
    let grace = match request.grace {
        Some(grace) => from_wire("grace", grace)?,
        None => daemon.config().timeouts.grace,
    };
    Ok(Some(Order {
        deadline: deadline.transpose()?,
        grace,
        exit: request.exit,
    }))
}

/// One who is told: always the latest, so that a slow one holds up nothing.
struct Follower {
    states: watch::Receiver<State>,
    workers: watch::Receiver<usize>,
    begun: bool,
    over: bool,
}

impl Follower {
    /// What is so now, at once and then whenever it changes, until the drain is over.
    async fn next(&mut self) -> Option<DrainResponse> {
        if self.over {
            return None;
        }
        if std::mem::replace(&mut self.begun, true) {
            tokio::select! {
                changed = self.states.changed() => changed.ok()?,
                changed = self.workers.changed() => changed.ok()?,
            }
        }
        let state = match *self.states.borrow_and_update() {
            State::Accepting => DrainState::Accepting,
            State::Draining(_) => DrainState::Draining,
            State::Drained => DrainState::Drained,
        };
        self.over = state != DrainState::Draining;
        Some(DrainResponse {
            state: state.into(),
            workers: u32::try_from(*self.workers.borrow_and_update()).unwrap_or(u32::MAX),
        })
    }
}
