//! Keeping a zygote compact: a write to a huge page that a worker shares splits it. When there is nothing
//! else to do it is looked how many have been split, and when it pays they are put together again.
//!
//! Looking costs next to nothing while memory is compact. No fork waits for it longer than one huge page
//! takes.

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
    forks: u64,
    forks_since_again: u64,
    pause: Duration,
    not_before: Instant,
    /// When something happened last.
    busy: Instant,
    /// Putting together: what was in huge pages before, and how far it is.
    under_way: Option<(u64, usize)>,
}

impl Keeper {
    pub(super) fn new(ranges: Ranges, report: Compaction) -> Self {
        let now = Instant::now();
        Self {
            ranges,
            best: report.huge_bytes,
            report,
            forks: 0,
            forks_since_again: 0,
            pause: FIRST_PAUSE,
            not_before: now + FIRST_PAUSE,
            busy: now,
            under_way: None,
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

    /// Called when there is nothing else to do; `workers` run. News for the supervisor.
    pub(crate) fn tend(&mut self, workers: bool) -> Option<Compaction> {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        match self.under_way.take() {
            Some((before, from)) => self.go_on(before, from),
            None => self.look(now, workers),
        }
    }

    fn look(&mut self, now: Instant, workers: bool) -> Option<Compaction> {
        self.forks = 0;
        let told = self.report.huge_bytes;
        let totals = memory::totals();
        // What could not be compacted takes its time to look at.
        self.rest(now, now.elapsed() * SELDOM);
        let totals = totals.ok()?;
        note(&mut self.report, totals);
        self.best = self.best.max(totals.huge_bytes);
        let split = self.best - totals.huge_bytes;
        // What workers share is copied, as long as they share it.
        let room = !workers || has_room(split);
        let much = split >= self.ranges.huge_page as u64;
        if much && room && self.forks_since_again >= WORTH {
            self.under_way = Some((totals.huge_bytes, 0));
        } else if much {
            // A few forks more, and it pays.
            self.pause = FIRST_PAUSE;
        }
        (told != totals.huge_bytes).then(|| self.report.clone())
    }

    fn go_on(&mut self, before: u64, from: usize) -> Option<Compaction> {
        let begun = Instant::now();
        for (at, page) in (from..).zip(self.ranges.pages(from)) {
            if at > from && begun.elapsed() >= SLICE {
                self.under_way = Some((before, at));
                return None;
            }
            again(&self.ranges, &page);
        }
        self.forks_since_again = 0;
        let totals = memory::totals().ok()?;
        note(&mut self.report, totals);
        self.best = self.best.max(totals.huge_bytes);
        self.report.times_again += 1;
        self.report.bytes_again += totals.huge_bytes.saturating_sub(before);
        self.rest(Instant::now(), Duration::ZERO);
        Some(self.report.clone())
    }

    fn rest(&mut self, now: Instant, least: Duration) {
        self.not_before = now + self.pause.max(least);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
