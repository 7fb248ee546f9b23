//! Spares: workers forked ahead of their assignments, one zygote's.
//!
//! How many there are follows from how fast starts come and how long a fork takes, within the bounds of the
//! configuration: as many as starts have come, of late, until those taken had successors. A template that is
//! started rarely has none beyond the least, as each of them costs memory.
//!
//! They are forked when no start has come for a while. While starts come, half of them is kept: when a start
//! has taken one and fewer are left, the next is forked while that start's worker runs. Not so where forks are
//! cheap: each costs the processors' time, of which starts may need all, and the zygote tells of no exit
//! meanwhile. Then one is forked while starts come if there is none and the configuration wants some. A start
//! that finds none takes the one that is being forked, if there is one.

mod demand;

use super::{Link, wire};
use crate::config::SparesConfig;
use crate::pressure::Short;
use demand::Demand;
use mpfork_driver::control::Control;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// One that has waited longer is assigned before younger ones: what it shares with its zygote can't be put
/// together again, and what hooks have set up in it grows old.
const OLD: Duration = Duration::from_secs(60);
/// One that has waited less may not have run yet.
const YOUNG: Duration = Duration::from_millis(1);
/// How long none is asked for after one could not be had.
const PAUSE: Duration = Duration::from_secs(1);
/// So many forks say what one takes.
const ENOUGH_FORKS: u32 = 4;
/// No fork is taken to last longer, whatever its zygote says.
const LONGEST_FORK: Duration = Duration::from_secs(60);

/// What all spares of the daemon together may come to.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    /// None may be added, however few there are.
    closed: AtomicBool,
    /// It was told that memory is short.
    short: AtomicBool,
}

impl Budget {
    /// How many there are.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether there may be more from now on.
    pub(crate) fn open(&self, open: bool) {
        self.closed.store(!open, Ordering::Relaxed);
    }

    /// Tells the log when memory has become short, and when it is not any more.
    pub(crate) fn tell_memory(&self, short: Option<Short>) {
        let was = self.short.swap(short.is_some(), Ordering::Relaxed);
        match short {
            Some(short) if !was => {
                tracing::warn!("memory is short, {short}: no workers are forked ahead");
            }
            None if was => tracing::info!("memory is not short any more"),
            _ => {}
        }
    }

    fn take(&self, most: usize) -> Option<Counted> {
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let before = self.used.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.used));
        (before < most).then_some(counted)
    }
}

/// One of the budget, until dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A worker that waits for its assignment. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Spare {
    /// What the zygote calls it.
    number: u64,
    pub(super) pid: i32,
    pidfd: OwnedFd,
    pub(crate) control: Control,
    since: Instant,
    _counted: Counted,
}

impl Spare {
    /// Nobody needs it any more. It may be stopped, and would not notice.
    pub(super) fn end(self) {
        let _ = mpfork_sys::sentinel::signal(self.pid, self.pidfd.as_fd(), nix::libc::SIGKILL);
    }

    /// Its number, pid, pidfd and socket: it is a worker now.
    pub(crate) fn into_parts(self) -> (u64, i32, OwnedFd, Control) {
        (self.number, self.pid, self.pidfd, self.control)
    }
}

/// One that was asked for. It can be assigned: it finds that when it is there.
#[derive(Debug)]
pub(crate) struct Coming {
    pub(crate) control: Control,
    counted: Counted,
    asked: Instant,
}

impl Coming {
    /// Its socket: it is to be a worker.
    pub(crate) fn into_control(self) -> Control {
        self.control
    }
}

/// How many of the spares that a template is worth are needed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// While starts come.
    Few,
    /// In a lull.
    All,
}

/// The spares of one zygote.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// The oldest first.
    idle: Vec<Spare>,
    /// By number: the one asked for first is forked first.
    coming: BTreeMap<u64, Coming>,
    demand: Demand,
    /// How many forks were measured.
    forks: u32,
    /// Until then none is asked for.
    pause: Option<Instant>,
    deaths: Deaths,
}

/// When a spare ended unasked last. One that was killed is replaced at once; those that end one after another
/// will go on to do so.
#[derive(Debug, Default)]
struct Deaths(Option<Instant>);

impl Deaths {
    /// One more: whether it comes soon after another.
    fn are_frequent(&mut self, now: Instant) -> bool {
        let last = self.0.replace(now);
        last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE)
    }
}

impl Spares {
    /// The youngest that has begun to wait: caches still have what it needs.
    pub(super) fn take(&mut self) -> Option<Spare> {
        let now = Instant::now();
        let waits = |spare: &Spare| now.saturating_duration_since(spare.since);
        let at = if waits(self.idle.first()?) >= OLD {
            0
        } else {
            let youngest = self.idle.iter().rposition(|spare| waits(spare) >= YOUNG);
            youngest.unwrap_or(0)
        };
        Some(self.idle.remove(at))
    }

    /// One that was taken, and got no assignment.
    pub(super) fn put_back(&mut self, spare: Spare) {
        let at = self.idle.partition_point(|one| one.since <= spare.since);
        self.idle.insert(at, spare);
    }

    /// The one that is there next.
    pub(super) fn take_coming(&mut self) -> Option<(u64, Coming)> {
        self.coming.pop_first()
    }

    /// One that was taken, and got no assignment.
    pub(super) fn put_back_coming(&mut self, number: u64, coming: Coming) {
        self.coming.insert(number, coming);
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// The template was started.
    pub(super) fn started(&mut self, bounds: SparesConfig) {
        self.demand.started(Instant::now(), bounds.max);
    }

    /// How many to ask for now, when nobody starts anything and when somebody does.
    pub(super) fn missing(&self, bounds: SparesConfig, need: Need) -> usize {
        let now = Instant::now();
        if self.pause.is_some_and(|until| now < until) {
            return 0;
        }
        let target = match (self.demand.target(now, bounds), need) {
            (target, Need::All) => target,
            (_, Need::Few) if self.demand.is_cheap() => bounds.min.min(1),
            (target, Need::Few) => target.div_ceil(2),
        };
        target.saturating_sub(self.idle.len() + self.coming.len())
    }

    /// How long no start must have come for it to be a lull, and for how much longer none must come now.
    pub(super) fn lull(&self) -> (Duration, Duration) {
        let lull = self.demand.lull();
        let since = self
            .demand
            .last
            .map_or(Duration::MAX, |last| last.elapsed());
        (lull, lull.saturating_sub(since))
    }

    /// How many spares of all templates there may be for this one to have more. Those that gain little by
    /// theirs, and have what the configuration wants, leave room to others, who need it more.
    pub(super) fn most(&self, bounds: SparesConfig, limit: usize) -> usize {
        let has_enough = self.idle.len() + self.coming.len() >= bounds.min;
        if self.demand.is_cheap() && has_enough {
            limit.div_ceil(2)
        } else {
            limit
        }
    }

    /// A fork, of whatever, took so long.
    pub(super) fn fork_took(&mut self, took: Duration) {
        let took = took.min(LONGEST_FORK);
        let before = self.demand.fork_time.unwrap_or(took);
        self.demand.fork_time = Some((before * 7 + took) / 8);
        self.forks = self.forks.saturating_add(1);
    }

    /// The same once enough have been measured that it says something.
    pub(super) fn measured_forks(&self) -> Option<Duration> {
        self.demand.fork_time.filter(|_| self.forks >= ENOUGH_FORKS)
    }

    pub(super) fn fork_time(&self) -> Option<Duration> {
        self.demand.fork_time
    }

    /// Asks for one. False: it can't be had now.
    pub(super) fn ask(&mut self, number: u64, link: &Link, budget: &Budget, most: usize) -> bool {
        let asked = budget
            .take(most)
            .is_some_and(|counted| self.try_ask(number, link, counted).is_some());
        if !asked {
            self.rest();
        }
        asked
    }

    fn try_ask(&mut self, number: u64, link: &Link, counted: Counted) -> Option<()> {
        let (control, theirs) = Control::pair().ok()?;
        link.expect_descriptor().ok()?;
        let worker = number;
        let spare = true;
        let fork = wire::supervisor_frame::Frame::Fork(wire::Fork {
            worker,
            spare,
            ..wire::Fork::default()
        });
        // A link that is broken shows in its driver.
        link.send(fork, vec![theirs]).ok()?;
        let coming = Coming {
            control,
            counted,
            asked: Instant::now(),
        };
        self.coming.insert(number, coming);
        Some(())
    }

    /// None is asked for in the next while.
    fn rest(&mut self) {
        self.pause = Some(Instant::now() + PAUSE);
    }

    /// For how long one has been asked for and not answered.
    pub(super) fn waited_for(&self) -> Option<Duration> {
        let asked = self.coming.values().map(|coming| coming.asked).min()?;
        Some(asked.elapsed())
    }

    /// Whether it was asked for, and not answered yet.
    pub(super) fn is_coming(&self, number: u64) -> bool {
        self.coming.contains_key(&number)
    }

    /// One that was asked for is there.
    pub(super) fn forked(&mut self, number: u64, pid: i32, pidfd: OwnedFd) {
        let coming = self.coming.remove(&number);
        if let Some(Coming {
            control, counted, ..
        }) = coming
        {
            self.idle.push(Spare {
                number,
                pid,
                pidfd,
                control,
                since: Instant::now(),
                _counted: counted,
            });
        }
    }

    /// One that was asked for could not be forked.
    pub(super) fn failed(&mut self, number: u64) {
        self.coming.remove(&number);
        self.rest();
    }

    /// One has ended before it was assigned; false when it was none of these.
    pub(super) fn ended(&mut self, number: u64) -> bool {
        let before = self.idle.len();
        self.idle.retain(|spare| spare.number != number);
        let was = self.idle.len() < before;
        if was && self.deaths.are_frequent(Instant::now()) {
            self.rest();
        }
        was
    }

    /// Lets those go that are stopped.
    pub(super) fn end_stopped(&mut self) {
        for spare in std::mem::take(&mut self.idle) {
            if mpfork_sys::processes::is_stopped(spare.pid) {
                spare.end();
            } else {
                self.idle.push(spare);
            }
        }
    }

    /// Lets those go that are more than the template is worth.
    pub(super) fn trim(&mut self, bounds: SparesConfig) {
        let target = self.demand.target(Instant::now(), bounds);
        let too_many = self.idle.len().saturating_sub(target);
        self.idle.drain(..too_many).for_each(Spare::end);
    }

    /// Lets all go: those that have been forked when they are dropped.
    pub(super) fn clear(&mut self) -> Vec<Spare> {
        self.coming.clear();
        std::mem::take(&mut self.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SparesConfig = SparesConfig { min: 0, max: 8 };

    #[test]
    fn one_that_dies_alone_is_replaced_at_once() {
        let mut deaths = Deaths::default();
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let frequent = [0, 1500, 1600, 2500, 3600].map(|millis| deaths.are_frequent(at(millis)));
        assert_eq!(frequent, [false, false, true, true, false]);
    }

    /// So many, which have waited for so long.
    fn waiting<const N: usize>(budget: &Budget, waited: [Duration; N]) -> Spares {
        let mut spares = Spares::default();
        let now = Instant::now();
        for (number, waited) in (1..).zip(waited) {
            let coming = Coming {
                control: Control::pair().unwrap().0,
                counted: budget.take(N).unwrap(),
                asked: now,
            };
            spares.coming.insert(number, coming);
            let nothing = std::fs::File::open("/dev/null").unwrap();
            spares.forked(number, 0, nothing.into());
            spares.idle.last_mut().unwrap().since = now.checked_sub(waited).unwrap();
        }
        spares
    }

    fn numbers(mut spares: Spares) -> Vec<u64> {
        std::iter::from_fn(|| spares.take().map(|spare| spare.number)).collect()
    }

    #[tokio::test]
    async fn the_youngest_is_assigned_first_unless_one_is_old() {
        let budget = Budget::default();
        let mut spares = waiting(&budget, [YOUNG * 9, YOUNG * 8, YOUNG * 7]);
        let spare = spares.take().unwrap();
        assert_eq!(spare.number, 3);
        spares.put_back(spare);
        assert_eq!(numbers(spares), [3, 2, 1]);
        let spares = waiting(&budget, [OLD * 2, OLD, YOUNG * 9, YOUNG * 8]);
        assert_eq!(numbers(spares), [1, 2, 4, 3]);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn one_that_may_not_have_run_yet_is_assigned_last() {
        // A minute from now: whatever the machine does meanwhile, it is younger than a millisecond.
        let mut spares = waiting(&Budget::default(), [YOUNG * 9, YOUNG * 8, Duration::ZERO]);
        spares.idle[2].since = Instant::now() + OLD;
        assert_eq!(numbers(spares), [2, 1, 3]);
    }

    #[tokio::test]
    async fn cheap_ones_beyond_the_least_leave_room_to_others() {
        let mut spares = waiting(&Budget::default(), [YOUNG; 3]);
        spares.fork_took(Duration::ZERO);
        let most = |spares: &Spares, min| spares.most(SparesConfig { min, max: 8 }, 64);
        assert_eq!([most(&spares, 4), most(&spares, 3)], [64, 32]);
        spares.fork_took(Duration::from_secs(1));
        assert_eq!(most(&spares, 3), 64);
    }

    #[test]
    fn cheap_ones_are_forked_in_a_lull_and_one_before_when_some_are_wanted() {
        let mut spares = Spares::default();
        spares.fork_took(Duration::ZERO);
        let now = Instant::now();
        (0..4).for_each(|_| spares.demand.started(now, BOUNDS.max));
        let some = SparesConfig { min: 3, max: 8 };
        let needs = |bounds| [Need::Few, Need::All].map(|need| spares.missing(bounds, need));
        assert_eq!(needs(BOUNDS), [0, 4]);
        assert_eq!(needs(some), [1, 4]);
    }

    #[test]
    fn a_zygote_may_say_that_a_fork_took_any_time() {
        let mut spares = Spares::default();
        for _ in 0..10 {
            spares.fork_took(Duration::MAX);
            spares.started(BOUNDS);
        }
        assert_eq!(spares.missing(BOUNDS, Need::All), 8);
        assert_eq!(spares.missing(BOUNDS, Need::Few), 4);
    }
}
