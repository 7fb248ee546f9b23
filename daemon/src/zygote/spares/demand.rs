//! How many spares a template is worth: what follows from how fast starts come and how long a fork takes.

use crate::config::SparesConfig;
use std::time::{Duration, Instant};

/// A fork that takes less is cheap: one more beside each start takes as much from starts that come one after
/// another as a spare saves them.
const CHEAP: Duration = Duration::from_micros(200);
/// A template that was not started twice within this time is started rarely.
const RARE: Duration = Duration::from_secs(10);
/// The bounds of what counts as a lull: a timer tells no shorter time, and nobody notices a longer one.
const SHORTEST_LULL: Duration = Duration::from_millis(2);
const LONGEST_LULL: Duration = Duration::from_millis(50);
/// What it takes, beside the fork and what it waits for, until a spare that was taken has a successor.
const REACTION: Duration = Duration::from_micros(100);
/// How many starts at a time are told from more.
const MOST_COUNTED: u32 = 1024;

/// How many spares the template is worth.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) last: Option<Instant>,
    /// The start before the last was not long before.
    often: bool,
    /// When a zygote would have replaced all that were taken, one fork after another.
    replaced: Option<Instant>,
    /// The most that were to be replaced at a time, and when that was.
    peak: usize,
    peaked: Option<Instant>,
    /// What a fork takes, of late.
    pub(super) fork_time: Option<Duration>,
}

impl Demand {
    /// The template was started; there may be so many spares.
    pub(super) fn started(&mut self, now: Instant, most: usize) {
        self.often = is_recent(self.last, now);
        self.last = Some(now);
        // What varies, and the rest of the machine, get their share of the time.
        let fork = self.fork_time.unwrap_or_default();
        let waits = if self.is_cheap() {
            self.lull()
        } else {
            Duration::ZERO
        };
        let refill = waits + fork + fork / 4 + REACTION;
        // It would never be over under a load that takes more forks than there can be.
        let longest = refill
            * u32::try_from(most)
                .unwrap_or(u32::MAX)
                .clamp(1, MOST_COUNTED);
        let begun = self.replaced.map_or(now, |replaced| replaced.max(now));
        let replaced = (begun + refill).min(now + longest);
        self.replaced = Some(replaced);
        let missing = (replaced - now).as_nanos().div_ceil(refill.as_nanos());
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if missing >= self.peak || !is_recent(self.peaked, now) {
            self.peak = missing;
            self.peaked = Some(now);
        }
    }

    pub(super) fn target(&self, now: Instant, bounds: SparesConfig) -> usize {
        if self.often && is_recent(self.last, now) {
            self.peak.clamp(bounds.min, bounds.max)
        } else {
            bounds.min
        }
    }

    /// How long no start must have come for it to be a lull.
    pub(super) fn lull(&self) -> Duration {
        (self.fork_time.unwrap_or_default() * 2).clamp(SHORTEST_LULL, LONGEST_LULL)
    }

    pub(super) fn is_cheap(&self) -> bool {
        self.fork_time.is_none_or(|fork| fork < CHEAP)
    }
}

/// Whether that was not long before.
fn is_recent(then: Option<Instant>, now: Instant) -> bool {
    then.is_some_and(|then| now.saturating_duration_since(then) < RARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: SparesConfig = SparesConfig { min: 0, max: 8 };

    fn after(starts: u32, gap: Duration) -> (Demand, Instant) {
        let mut demand = Demand {
            fork_time: Some(CHEAP),
            ..Demand::default()
        };
        let mut now = Instant::now();
        for _ in 0..starts {
            now += gap;
            demand.started(now, BOUNDS.max);
        }
        (demand, now)
    }

    #[test]
    fn rare_starts_are_worth_none() {
        let (demand, now) = after(1, Duration::ZERO);
        assert_eq!(demand.target(now, BOUNDS), 0);
        let (demand, now) = after(10, RARE);
        assert_eq!(demand.target(now, BOUNDS), 0);
        let (demand, now) = after(10, RARE / 2);
        assert_eq!(demand.target(now, BOUNDS), 1);
        assert_eq!(demand.target(now + RARE, BOUNDS), 0);
    }

    #[test]
    fn as_many_as_come_while_one_is_forked() {
        let (demand, now) = after(100, CHEAP * 4);
        assert_eq!(
            demand.target(now, BOUNDS),
            1,
            "each is replaced before the next"
        );
        let (mut demand, mut now) = after(5, Duration::ZERO);
        assert_eq!(demand.target(now, BOUNDS), 5, "at once");
        for _ in 0..5 {
            now += RARE / 6;
            demand.started(now, BOUNDS.max);
        }
        assert_eq!(demand.target(now, BOUNDS), 5, "not forgotten at once");
        for _ in 0..2 {
            now += RARE / 6;
            demand.started(now, BOUNDS.max);
        }
        assert_eq!(demand.target(now, BOUNDS), 1);
        let (mut demand, now) = after(1000, CHEAP / 10);
        assert_eq!(demand.target(now, BOUNDS), 8, "faster than they are forked");
        let now = now + CHEAP * 16;
        demand.peak = 0;
        demand.started(now, BOUNDS.max);
        assert_eq!(
            demand.target(now, BOUNDS),
            1,
            "what was too much is not owed"
        );
        assert_eq!(demand.target(now, SparesConfig { min: 0, max: 0 }), 0);
        let (demand, now) = (Demand::default(), Instant::now());
        assert_eq!(demand.target(now, SparesConfig { min: 3, max: 8 }), 3);
    }

    #[test]
    fn cheap_forks_are_worth_as_many_as_come_until_there_is_a_lull() {
        let mut demand = Demand {
            fork_time: Some(CHEAP / 2),
            ..Demand::default()
        };
        let mut now = Instant::now();
        for _ in 0..5 {
            now += SHORTEST_LULL / 4;
            demand.started(now, BOUNDS.max);
        }
        assert_eq!(demand.target(now, BOUNDS), 5);
        for _ in 0..10 {
            now += RARE / 6;
            demand.started(now, BOUNDS.max);
        }
        assert_eq!(demand.target(now, BOUNDS), 1);
    }
}
