//! Keeping a zygote compact: a write to a huge page that a worker shares splits it. When there is nothing
//! else to do it is looked how many have been split, and when it pays they are put together again. So is what
//! time or memory did not suffice for before the first fork.
//!
//! Looking costs next to nothing while memory is compact, and is rare where it is not. A fork waits no longer
//! than that takes, or a slice of putting together and one huge page.
//!
//! What a worker shares can only be put together elsewhere, and what the worker goes on with stays until it
//! ends. So while workers run there is no more such memory than one copy of what is in huge pages.

use super::collapse::{again, has_room};
use super::note;
use super::ranges::Ranges;
use mpfork_proto::v1::Compaction;
use mpfork_sys::memory;
use std::time::{Duration, Instant};

/// Nothing happens within this time: then there is nothing else to do.
const LULL: Duration = Duration::from_millis(20);
/// Between two looks, the first time and at most: it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Looking takes at most one part in so many of the time.
const SELDOM: u32 = 1000;
/// What is gained by putting together is gained at each fork: with fewer forks since the last time it is
/// not worth the while.
const WORTH: u64 = 16;
/// How long it works in one go.
const SLICE: Duration = Duration::from_micros(500);

/// Keeps a zygote compact.
#[derive(Debug)]
pub(crate) struct Keeper {
    ranges: Ranges,
    report: Compaction,
    /// What was in huge pages when it was best.
    best: u64,
    /// What can be, as far as is known: time or memory may not have sufficed yet.
    most: u64,
    forks: u64,
    forks_since_again: u64,
    pause: Duration,
    not_before: Instant,
    /// When something happened last.
    busy: Instant,
    under_way: Option<Round>,
    copies: Copies,
}

/// Putting together, page by page.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// What was in huge pages before.
    before: u64,
    /// How far it is.
    at: usize,
}

/// What was put together while workers shared it: when, and how much.
#[derive(Debug, Default)]
struct Copies(Vec<(Instant, u64)>);

impl Copies {
    /// How much there still is of it: of what is older than each worker nobody has the former memory.
    fn bytes(&mut self, oldest: Option<Instant>) -> u64 {
        self.0
            .retain(|(at, _)| oldest.is_some_and(|oldest| *at >= oldest));
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }

    fn add(&mut self, bytes: u64) {
        self.0.push((Instant::now(), bytes));
    }
}

impl Keeper {
    pub(super) fn new(ranges: Ranges, report: Compaction) -> Self {
        let now = Instant::now();
        Self {
            best: report.huge_bytes,
            most: report.huge_bytes.max(ranges.bytes()),
            ranges,
            report,
            forks: 0,
            forks_since_again: 0,
            pause: FIRST_PAUSE,
            not_before: now + FIRST_PAUSE,
            busy: now,
            under_way: None,
            copies: Copies::default(),
        }
    }

    /// There was a fork.
    pub(crate) fn forked(&mut self) {
        self.forks += 1;
        self.forks_since_again += 1;
    }

    /// Something happened.
    pub(crate) fn disturbed(&mut self) {
        self.busy = Instant::now();
    }

    /// How long to wait at most; for ever when there is nothing to look at.
    pub(crate) fn next(&self, now: Instant) -> Option<Duration> {
        let due = self.due()?;
        Some(due.saturating_duration_since(now))
    }

    fn due(&self) -> Option<Instant> {
        let quiet = self.busy + LULL;
        if self.under_way.is_some() {
            return Some(quiet);
        }
        // Without forks nothing is shared, and nothing is split.
        (self.forks > 0).then(|| quiet.max(self.not_before))
    }

    /// Called when there is nothing else to do; `oldest` tells since when there is a worker that still runs.
    /// News for the supervisor.
    pub(crate) fn tend(&mut self, oldest: impl Fn() -> Option<Instant>) -> Option<Compaction> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        match self.under_way.take() {
            Some(round) => self.go_on(round, oldest()),
            None => self.look(now, oldest()),
        }
    }

    fn look(&mut self, now: Instant, oldest: Option<Instant>) -> Option<Compaction> {
        self.forks = 0;
        let told = self.report.huge_bytes;
        let totals = memory::totals();
        // What could not be compacted takes its time to look at.
        self.rest(now, now.elapsed() * SELDOM);
        let totals = totals.ok()?;
        note(&mut self.report, totals);
        self.best = self.best.max(totals.huge_bytes);
        self.most = self.most.max(self.best);
        let page = self.ranges.huge_page as u64;
        let much = self.most - totals.huge_bytes >= page;
        if much && self.forks_since_again < WORTH {
            // A few forks more, and it pays.
            self.pause = FIRST_PAUSE;
        } else if much && self.may_copy((self.best - totals.huge_bytes).max(page), oldest) {
            self.under_way = Some(Round {
                before: totals.huge_bytes,
                at: 0,
            });
        }
        (told != totals.huge_bytes).then(|| self.report.clone())
    }

    /// Whether so much of what workers share may be made once more, as long as they share it. Whether there
    /// is room is looked at all the while.
    fn may_copy(&mut self, bytes: u64, oldest: Option<Instant>) -> bool {
        let copied = self.copies.bytes(oldest);
        oldest.is_none() || copied + bytes <= self.most
    }

    fn go_on(&mut self, round: Round, oldest: Option<Instant>) -> Option<Compaction> {
        let begun = Instant::now();
        // Others may have taken what there was: then this is the end of it, and not all was tried.
        let mut all = has_room(self.ranges.huge_page as u64);
        if all {
            for (at, page) in (round.at..).zip(self.ranges.pages(round.at)) {
                if at > round.at && begun.elapsed() >= SLICE {
                    self.under_way = Some(Round { at, ..round });
                    return None;
                }
                all = again(&self.ranges, &page);
                if !all {
                    break;
                }
            }
        }
        self.forks_since_again = 0;
        let totals = memory::totals().ok()?;
        note(&mut self.report, totals);
        self.best = self.best.max(totals.huge_bytes);
        let gained = totals.huge_bytes.saturating_sub(round.before);
        if all && gained == 0 && self.forks == 0 {
            // Nothing was split meanwhile: the rest is not to be had.
            self.best = totals.huge_bytes;
            self.most = totals.huge_bytes;
        }
        if oldest.is_some() && gained > 0 {
            self.copies.add(gained);
        }
        // Without room nothing was done, and it may all have been refused.
        self.report.times_again += u64::from(gained > 0);
        self.report.bytes_again += gained;
        self.rest(Instant::now(), Duration::ZERO);
        Some(self.report.clone())
    }

    fn rest(&mut self, now: Instant, least: Duration) {
        self.not_before = now + self.pause.max(least);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_more_than_one_copy_while_workers_run() {
        const HUGE_PAGE: usize = 2 << 20;
        let report = Compaction {
            huge_bytes: 10 * HUGE_PAGE as u64,
            ..Compaction::default()
        };
        let mut keeper = Keeper::new(Ranges::none(HUGE_PAGE), report);
        let part = 6 * HUGE_PAGE as u64;
        let first = Instant::now();
        assert!(keeper.may_copy(part, Some(first)));
        keeper.copies.add(part);
        assert!(!keeper.may_copy(part, Some(first)));
        // The one that shared it has ended.
        assert!(keeper.may_copy(part, Some(Instant::now())));
        keeper.copies.add(part);
        assert!(keeper.may_copy(part, None));
    }

    #[test]
    fn what_was_left_out_at_first_is_put_together_later() {
        const HEAP: usize = 64 << 20;
        let Some(size) = memory::huge_page_size().filter(|_| memory::probe_collapse().is_ok())
        else {
            eprintln!("not here: nothing can be collapsed");
            return;
        };
        let before = memory::totals().unwrap().huge_bytes;
        let heap = vec![1u8; HEAP];
        if memory::totals().unwrap().huge_bytes >= before + (HEAP / 2) as u64 {
            eprintln!("not here: memory is in huge pages by itself");
            return;
        }
        let (ranges, all) = Ranges::find(size, &|| false).unwrap();
        assert!(all && ranges.bytes() >= (HEAP / 2) as u64);
        let mut keeper = Keeper::new(ranges, Compaction::default());
        let deadline = Instant::now() + Duration::from_secs(60);
        while keeper.report.bytes_again < (HEAP / 2) as u64 {
            assert!(Instant::now() < deadline, "{:?}", keeper.report);
            // It is looked at after forks only.
            (0..WORTH).for_each(|_| keeper.forked());
            std::thread::sleep(keeper.next(Instant::now()).unwrap());
            let _ = keeper.tend(|| None);
        }
        assert!(heap.iter().all(|byte| *byte == 1));
    }

    #[test]
    fn what_is_not_to_be_had_is_not_tried_for_ever() {
        let Some(size) = memory::huge_page_size() else {
            eprintln!("not here: there are no huge pages");
            return;
        };
        // It was in huge pages once, and is gone.
        let gone = Compaction {
            huge_bytes: 1 << 40,
            ..Compaction::default()
        };
        let mut keeper = Keeper::new(Ranges::none(size), gone);
        let deadline = Instant::now() + Duration::from_secs(60);
        while keeper.most >= 1 << 40 {
            assert!(Instant::now() < deadline, "{keeper:?}");
            (0..WORTH).for_each(|_| keeper.forked());
            std::thread::sleep(keeper.next(Instant::now()).unwrap());
            let _ = keeper.tend(|| None);
            std::thread::sleep(LULL);
            // The round.
            let _ = keeper.tend(|| None);
        }
    }

    #[test]
    fn copies_count_until_those_who_shared_them_have_ended() {
        let mut copies = Copies::default();
        let before = Instant::now();
        copies.add(1);
        copies.add(2);
        assert_eq!(copies.bytes(Some(before)), 3);
        // Whoever began later shares what was put together.
        let later = copies.0[0].0 + Duration::from_secs(1);
        copies.0[1].0 = later;
        assert_eq!(copies.bytes(Some(later)), 2);
        assert_eq!(copies.bytes(Some(before)), 2);
        assert_eq!(copies.bytes(None), 0);
        assert_eq!(copies.bytes(Some(before)), 0);
    }
}
