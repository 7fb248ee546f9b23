//! Zygotes: warm processes that fork workers when told so over their link.

pub(crate) mod capture;
pub(crate) mod dear;
pub(crate) mod driver;
pub(crate) mod launch;
pub(crate) mod link;
pub(crate) mod spares;

use crate::children::Child;
use crate::config::SparesConfig;
use crate::daemon::Daemon;
use crate::worker::{Seed, Worker};
use capture::Capture;
use dear::Dear;
use link::{Link, LinkError};
use mpfork_proto::link as wire;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{Compaction, KeptDescriptor, PreloadReport, StartWay};
use mpfork_sys::fdpass::CONGESTION_LIMIT;
use spares::{Coming, Need, Spare, Spares};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// What became of a Fork.
#[derive(Debug)]
pub(crate) enum ForkReply {
    /// There is a worker. Its pidfd comes along, as it may have ended long before anybody looks.
    Forked(Arc<Worker>, Arc<OwnedFd>),
    /// The zygote refused, or could not.
    Failed(Problem),
    /// The zygote is gone or leaving, and nothing was started.
    Gone,
}

/// A Fork that was sent and not answered yet.
#[derive(Debug)]
struct Pending {
    seed: Box<Seed>,
    reply: oneshot::Sender<ForkReply>,
}

/// For what a Fork was.
#[derive(Debug)]
enum Answered {
    Start(Pending),
    Spare,
    /// Nobody waits for it any more.
    GivenUp,
}

/// A zygote that is or was ready.
#[derive(Debug)]
pub(crate) struct Zygote {
    pub(crate) child: Arc<Child>,
    link: Link,
    pub(crate) ready_at: Instant,
    pub(crate) preload_time: Duration,
    /// What spawning a worker would take: the same, which nobody would compact.
    spawn_time: Duration,
    pub(crate) reports: Vec<PreloadReport>,
    pub(crate) kept: Vec<KeptDescriptor>,
    pub(crate) build_id: String,
    /// What its workers start with anyhow.
    pub(crate) inherited: Option<wire::Inherited>,
    /// What it told last of how its memory is backed.
    compaction: Mutex<Option<Compaction>>,
    /// The names of the functions that the program registered.
    pub(crate) functions: HashSet<String>,
    capture: Capture,
    state: Mutex<State>,
    /// Set when the link has ended and everything that ran is accounted for.
    gone: watch::Sender<bool>,
    /// How many workers run or are being forked.
    running: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<u64, Pending>,
    /// Forks asked for and not answered, the given up ones too: their pidfds are still to come.
    owed: usize,
    running: HashMap<u64, Arc<Worker>>,
    spares: Spares,
    /// The last number by which a worker was asked for.
    number: u64,
    /// It was told to leave, or is gone: it forks no more.
    leaving: bool,
    /// Its end of the link is closed; the driver has yet to see that.
    hung_up: bool,
    /// It was told that spawning would be cheaper.
    told_dear: bool,
    /// Somebody waits for a lull, to have spares forked.
    awaits_lull: bool,
    /// Somebody is about to have spares forked after a worker's end.
    refills: bool,
    /// When it last answered a Fork.
    answered: Option<Instant>,
}

impl State {
    fn takes_no_more(&self) -> bool {
        self.leaving || self.hung_up
    }
}

impl Zygote {
    /// Asks for a worker, which finds its assignment in `socket`; what it is called and the answer.
    /// `None`: the zygote takes no more starts. An error: there would be no descriptor for the worker's
    /// pidfd.
    pub(crate) fn fork(
        &self,
        seed: Box<Seed>,
        socket: OwnedFd,
    ) -> io::Result<Option<(u64, oneshot::Receiver<ForkReply>)>> {
        let seed_way = seed.way;
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        if state.takes_no_more() {
            return Ok(None);
        }
        self.link.expect_descriptor()?;
        let worker = state.next_number();
        state.pending.insert(worker, Pending { seed, reply });
        state.owed += 1;
        self.publish(&state);
        drop(state);
        let fresh = seed_way == StartWay::Spawn;
        let frame = wire::supervisor_frame::Frame::Fork(wire::Fork {
            worker,
            fresh,
            ..wire::Fork::default()
        });
        if let Err(error) = self.link.send(frame, vec![socket]) {
            // The driver sees the broken link too, and cleans up what is left.
            tracing::warn!(zygote = self.child.pid, %error, "can't send to the zygote");
            // Until then nobody is to try it again: the same would happen at once.
            self.state().hung_up |= error.is_hung_up();
            return Ok((!self.give_up(worker)).then_some((worker, answer)));
        }
        Ok(Some((worker, answer)))
    }

    /// A spare to assign, if there is one.
    pub(crate) fn take_spare(&self) -> Option<Spare> {
        let mut state = self.state();
        if state.takes_no_more() {
            return None;
        }
        state.spares.take()
    }

    /// A spare that was taken this very moment, and could not be assigned.
    pub(crate) fn put_back(&self, spare: Spare) {
        self.state().spares.put_back(spare);
    }

    /// Lets those go that somebody has stopped: each would have a start wait for it.
    pub(crate) fn end_stopped_spares(&self) {
        self.state().spares.end_stopped();
    }

    /// A spare that is being forked, to assign, if there is one; what it is called.
    pub(crate) fn take_coming(&self) -> Option<(u64, Coming)> {
        let mut state = self.state();
        if state.takes_no_more() {
            return None;
        }
        state.spares.take_coming()
    }

    /// One that was taken this very moment, and could not be assigned.
    pub(crate) fn put_back_coming(&self, number: u64, coming: Coming) {
        self.state().spares.put_back_coming(number, coming);
    }

    /// One that was taken this very moment, and assigned, is to be this worker: its Fork is awaited as if
    /// it had been asked for now.
    pub(crate) fn promise(&self, number: u64, seed: Box<Seed>) -> oneshot::Receiver<ForkReply> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        state.pending.insert(number, Pending { seed, reply });
        self.publish(&state);
        drop(state);
        answer
    }

    /// A process that it forked is this worker: from here on its exit is awaited.
    pub(crate) fn enrolled(&self, number: u64, worker: &Arc<Worker>) {
        let mut state = self.state();
        state.running.insert(number, Arc::clone(worker));
        self.publish(&state);
        drop(state);
    }

    /// A worker was started. While it runs spares are forked when few are left. Returns how long to wait for
    /// a lull, in which the others are, when nobody waits for that yet.
    pub(crate) fn started(&self, daemon: &Daemon, bounds: SparesConfig) -> Option<Duration> {
        let mut state = self.state();
        state.spares.started(bounds);
        self.ask_for_spares(&mut state, daemon, bounds, Need::Few);
        if state.spares.missing(bounds, Need::All) == 0
            || std::mem::replace(&mut state.awaits_lull, true)
        {
            return None;
        }
        Some(state.spares.lull().0)
    }

    /// Has spares forked when this is a lull; otherwise how much longer to wait for it.
    pub(crate) fn refill_in_lull(&self, daemon: &Daemon, bounds: SparesConfig) -> Option<Duration> {
        let mut state = self.state();
        let (_, left) = state.spares.lull();
        if !left.is_zero() {
            return Some(left);
        }
        state.awaits_lull = false;
        self.ask_for_spares(&mut state, daemon, bounds, Need::All);
        drop(state);
        None
    }

    /// A worker has ended. Whoever starts the next one has something else to do first: spares are forked
    /// meanwhile when there are few. Whether to have that done, as nobody does yet.
    fn ended(&self, bounds: SparesConfig) -> bool {
        let mut state = self.state();
        let few = state.spares.missing(bounds, Need::Few) > 0;
        let due = few && !std::mem::replace(&mut state.refills, true);
        drop(state);
        due
    }

    fn refill_after_end(&self, daemon: &Daemon, bounds: SparesConfig) {
        let mut state = self.state();
        state.refills = false;
        self.ask_for_spares(&mut state, daemon, bounds, Need::Few);
        drop(state);
    }

    /// Has spares forked as time goes by: as many as the template is worth when nobody starts any, and as many
    /// as the configuration wants in any case.
    pub(crate) fn refill(&self, daemon: &Daemon, bounds: SparesConfig) {
        let mut state = self.state();
        let (_, left) = state.spares.lull();
        let max = if left.is_zero() {
            bounds.max
        } else {
            bounds.min
        };
        let bounds = SparesConfig { max, ..bounds };
        self.ask_for_spares(&mut state, daemon, bounds, Need::All);
        drop(state);
    }

    /// Has those replaced that have ended unasked.
    fn replace_spares(&self, daemon: &Daemon, bounds: SparesConfig) {
        self.ask_for_spares(&mut self.state(), daemon, bounds, Need::All);
    }

    fn ask_for_spares(&self, state: &mut State, daemon: &Daemon, bounds: SparesConfig, need: Need) {
        // Those who wait for a fork come first: it forks one after another.
        if state.takes_no_more() || !state.pending.is_empty() || daemon.accepting().is_err() {
            return;
        }
        let limit = daemon.config().limits.spares;
        for _ in 0..state.spares.missing(bounds, need) {
            let most = state.spares.most(bounds, limit);
            // What others are left is no reason to rest, as having reached the limit is.
            if most < limit && daemon.spares.used() >= most {
                return;
            }
            let number = state.next_number();
            if !state.spares.ask(number, &self.link, &daemon.spares, most) {
                return;
            }
            state.owed += 1;
        }
    }

    /// How long its last forks took.
    pub(crate) fn fork_time(&self) -> Option<Duration> {
        self.state().spares.fork_time()
    }

    /// Whether spawning would be cheaper than forking it.
    pub(crate) fn is_dear(&self) -> Option<Dear> {
        self.dear(&self.state())
    }

    /// The same, when that has not been told yet.
    fn turned_dear(&self) -> Option<Dear> {
        let mut state = self.state();
        if state.told_dear {
            return None;
        }
        let dear = self.dear(&state);
        state.told_dear = dear.is_some();
        dear
    }

    fn dear(&self, state: &State) -> Option<Dear> {
        Dear::new(state.spares.measured_forks()?, self.spawn_time)
    }

    /// Lets spares go that the template is not worth any more.
    pub(crate) fn trim_spares(&self, bounds: SparesConfig) {
        self.state().spares.trim(bounds);
    }

    /// How many spares wait for an assignment.
    pub(crate) fn idle_spares(&self) -> usize {
        self.state().spares.idle()
    }

    /// How its memory is backed, as it told last.
    pub(crate) fn compaction(&self) -> Option<Compaction> {
        let told = self.compaction.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn compacted(&self, news: Compaction) {
        let (huge, private, again) = (news.huge_bytes, news.anonymous_bytes, news.times_again);
        let zygote = self.child.pid;
        tracing::debug!(
            zygote,
            huge,
            private,
            again,
            skipped = news.skipped,
            "compacted"
        );
        let told = self.compaction.lock();
        *told.unwrap_or_else(PoisonError::into_inner) = Some(news);
    }

    /// Gives up a Fork that is not answered: should its worker come to be, it ends before it begins.
    /// False: it was just answered.
    pub(crate) fn give_up(&self, worker: u64) -> bool {
        let mut state = self.state();
        let given_up = state.pending.remove(&worker).is_some();
        self.publish(&state);
        drop(state);
        given_up
    }

    /// Takes a Fork back that waits because the user has too many descriptors in flight; false when it is
    /// another thing that it waits for.
    pub(crate) fn withdraw_congested(&self, worker: u64) -> bool {
        if !self.link.is_congested() || !self.link.withdraw(worker) {
            return false;
        }
        let mut state = self.state();
        let pending = state.pending.remove(&worker);
        state.owed = state.owed.saturating_sub(1);
        self.link.expect_at_most(state.owed);
        self.publish(&state);
        drop(state);
        drop(pending);
        true
    }

    /// Whether a Fork that was asked for so long ago may have left only within this time, as the user had too
    /// many descriptors in flight. Not for ever: what waits then may be another.
    pub(crate) fn may_have_waited(&self, limit: Duration, asked: Duration) -> bool {
        asked < limit + CONGESTION_LIMIT && self.link.was_congested(limit)
    }

    /// Whether it has answered a Fork within this time: it is busy, not stuck.
    pub(crate) fn has_answered(&self, within: Duration) -> bool {
        self.state()
            .answered
            .is_some_and(|answered| answered.elapsed() < within)
    }

    /// Whether it has been asked for a spare and has answered nothing within this time: it tells of no
    /// exit either.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        let waited = self.state().spares.waited_for();
        let busy = |waited| self.has_answered(limit) || self.may_have_waited(limit, waited);
        waited.is_some_and(|waited| waited >= limit && !busy(waited))
    }

    /// Whose Fork was just answered.
    fn answered(&self, number: u64) -> Answered {
        let mut state = self.state();
        state.answered = Some(Instant::now());
        state.owed = state.owed.saturating_sub(1);
        // One that failed brought none.
        self.link.expect_at_most(state.owed);
        if state.spares.is_coming(number) {
            return Answered::Spare;
        }
        let pending = state.pending.remove(&number);
        drop(state);
        pending.map_or(Answered::GivenUp, Answered::Start)
    }

    /// Tells it to leave when its last worker has ended.
    pub(crate) fn retire(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.leaving, true) {
            return;
        }
        state.spares.clear().into_iter().for_each(Spare::end);
        drop(state);
        let frame = wire::supervisor_frame::Frame::Shutdown(wire::Shutdown {});
        if let Err(error) = self.link.send(frame, Vec::new()) {
            tracing::debug!(zygote = self.child.pid, %error, "gone before it was told to leave");
        }
    }

    /// The end of what it has printed, for errors.
    pub(crate) fn output(&self) -> String {
        self.capture.tail(launch::OUTPUT)
    }

    /// Whether it takes no more starts.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state().takes_no_more()
    }

    /// Waits until none of its workers runs.
    pub(crate) async fn idle(&self) {
        let mut running = self.running.subscribe();
        let _ = running.wait_for(|running| *running == 0).await;
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Tells how many workers run or are being forked.
    fn publish(&self, state: &State) {
        self.link.expect_at_most(state.owed);
        self.running
            .send_replace(state.running.len() + state.pending.len());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}

/// Why a zygote is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("it closed its link")]
    Closed,
    #[error(transparent)]
    Link(#[from] LinkError),
}
