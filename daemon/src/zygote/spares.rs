//! Spares: workers forked ahead of their assignments, one zygote's.
//!
//! How many there are follows from the starts: each that finds none makes room for one more, within the
//! bounds of the configuration. A template that is started rarely has none beyond the least, as each of
//! them costs memory; nor has one whose forks are cheap: handing an assignment over and forking the next
//! spare meanwhile takes as long as the fork.

use super::{Link, wire};
use crate::config::SparesConfig;
use mpfork_driver::control::Control;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A fork that takes less is cheap: measured, a spare was now a little faster than such a fork, now slower.
const CHEAP: Duration = Duration::from_micros(200);
/// A template that was not started twice within this time is started rarely.
const RARE: Duration = Duration::from_secs(10);
/// How long none is asked for after one could not be had.
const PAUSE: Duration = Duration::from_secs(1);
/// No fork is taken to last longer, whatever its zygote says.
const LONGEST_FORK: Duration = Duration::from_secs(60);

/// What all spares of the daemon together may come to.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    /// None may be added, however few there are.
    closed: AtomicBool,
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

/// One that was asked for.
#[derive(Debug)]
struct Coming {
    control: Control,
    counted: Counted,
    asked: Instant,
}

/// The spares of one zygote.
#[derive(Debug, Default)]
pub(super) struct Spares {
    /// The one forked first is assigned first.
    idle: VecDeque<Spare>,
    coming: HashMap<u64, Coming>,
    demand: Demand,
    /// Until then none is asked for.
    pause: Option<Instant>,
}

impl Spares {
    pub(super) fn take(&mut self) -> Option<Spare> {
        self.idle.pop_front()
    }

    /// One that was taken, and got no assignment.
    pub(super) fn put_back(&mut self, spare: Spare) {
        self.idle.push_front(spare);
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// The template was started, by a spare or not.
    pub(super) fn started(&mut self, spare: bool) {
        self.demand.started(Instant::now(), spare);
    }

    /// How many to ask for now.
    pub(super) fn missing(&self, bounds: SparesConfig) -> usize {
        let now = Instant::now();
        if self.pause.is_some_and(|until| now < until) {
            return 0;
        }
        let target = self.demand.target(now, bounds);
        target.saturating_sub(self.idle.len() + self.coming.len())
    }

    /// Whether there are none, and none are coming.
    pub(super) fn are_used_up(&self) -> bool {
        self.idle.is_empty() && self.coming.is_empty()
    }

    /// A fork, of whatever, took so long.
    pub(super) fn fork_took(&mut self, took: Duration) {
        let took = took.min(LONGEST_FORK);
        let before = self.demand.fork_time.unwrap_or(took);
        self.demand.fork_time = Some((before * 7 + took) / 8);
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
            self.idle.push_back(Spare {
                number,
                pid,
                pidfd,
                control,
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
        if was {
            self.rest();
        }
        was
    }

    /// Lets those go that are more than the template is worth.
    pub(super) fn trim(&mut self, bounds: SparesConfig) {
        let target = self.demand.target(Instant::now(), bounds);
        let least = target.min(self.idle.len());
        self.idle.drain(least..).for_each(Spare::end);
    }

    /// Lets all go: those that have been forked when they are dropped.
    pub(super) fn clear(&mut self) -> VecDeque<Spare> {
        self.coming.clear();
        std::mem::take(&mut self.idle)
    }
}

/// How many spares the template is worth.
#[derive(Debug, Default)]
struct Demand {
    last: Option<Instant>,
    /// The start before the last was not long before.
    often: bool,
    /// How many starts have found none since they came often.
    missed: usize,
    /// What a fork takes, of late.
    fork_time: Option<Duration>,
}

impl Demand {
    /// The template was started, by a spare or not.
    fn started(&mut self, now: Instant, spare: bool) {
        self.often = self.last.is_some_and(|last| now - last < RARE);
        self.last = Some(now);
        if !self.often {
            self.missed = 0;
        } else if !spare {
            self.missed = self.missed.saturating_add(1);
        }
    }

    fn target(&self, now: Instant, bounds: SparesConfig) -> usize {
        let is_recent = self.last.is_some_and(|last| now - last < RARE);
        let is_cheap = self.fork_time.is_none_or(|fork| fork < CHEAP);
        if self.often && is_recent && !is_cheap {
            self.missed.clamp(bounds.min, bounds.max)
        } else {
            bounds.min
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SparesConfig = SparesConfig { min: 0, max: 8 };

    fn after(starts: u32, gap: Duration, spare: bool) -> (Demand, Instant) {
        let mut demand = Demand {
            fork_time: Some(CHEAP),
            ..Demand::default()
        };
        let mut now = Instant::now();
        for _ in 0..starts {
            now += gap;
            demand.started(now, spare);
        }
        (demand, now)
    }

    #[test]
    fn rare_starts_are_worth_none() {
        let (demand, now) = after(1, Duration::ZERO, false);
        assert_eq!(demand.target(now, BOUNDS), 0);
        let (demand, now) = after(10, RARE, false);
        assert_eq!(demand.target(now, BOUNDS), 0);
        let (demand, now) = after(10, RARE / 2, false);
        assert_eq!(demand.target(now, BOUNDS), 8);
        assert_eq!(demand.target(now + RARE, BOUNDS), 0);
    }

    #[test]
    fn each_start_that_finds_none_is_worth_one() {
        let gap = Duration::from_millis(1);
        let (mut demand, now) = after(4, gap, false);
        assert_eq!(demand.target(now, BOUNDS), 3, "the first knew of no other");
        demand.started(now, true);
        assert_eq!(demand.target(now, BOUNDS), 3);
        let (demand, now) = after(1000, gap, false);
        assert_eq!(demand.target(now, BOUNDS), 8);
        assert_eq!(demand.target(now, SparesConfig { min: 0, max: 0 }), 0);
        let (demand, now) = (Demand::default(), Instant::now());
        assert_eq!(demand.target(now, SparesConfig { min: 3, max: 8 }), 3);
    }

    #[test]
    fn cheap_forks_are_worth_none() {
        let (mut demand, now) = after(100, Duration::from_millis(1), false);
        demand.fork_time = Some(CHEAP / 2);
        assert_eq!(demand.target(now, BOUNDS), 0);
        assert_eq!(demand.target(now, SparesConfig { min: 3, max: 8 }), 3);
    }

    #[test]
    fn a_zygote_may_say_that_a_fork_took_any_time() {
        let mut spares = Spares::default();
        for _ in 0..10 {
            spares.fork_took(Duration::MAX);
            spares.started(false);
        }
        assert_eq!(spares.missing(BOUNDS), 8);
    }
}
