//! Moving memory into huge pages, a page at a time, while time and memory last.

use super::ranges::{PARTS, PRESENT, Ranges};
use mpfork_sys::memory;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The reason when the time limit has passed.
pub(super) const OUT_OF_TIME: &str = "the time limit has passed";
/// The reason where nothing can be collapsed.
pub(super) const UNKNOWN: &str =
    "the kernel does not do it: Linux 6.1 or newer does, unless told not to";
/// Of the machine's memory, and of what a control group may have, such a part stays free.
const FREE_PART: u64 = 20;
/// How many huge pages are made between two looks at what memory is left.
const BETWEEN_LOOKS: usize = 16;
/// After so many refusals in a row there is no use in going on with that range...
const MOST_REFUSALS: u32 = 8;
/// ...and after so many such ranges with any.
const MOST_RANGES: u32 = 8;

/// How far it may go.
#[derive(Debug)]
pub(super) struct Budget {
    begun: Instant,
    limit: Duration,
}

impl Budget {
    pub(super) fn new(begun: Instant, limit: Duration) -> Self {
        Self { begun, limit }
    }

    pub(super) fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.limit
    }
}

/// Whether there is memory to spare for so many bytes more: the machine's, and that of the control groups
/// which this process is in. Where the system tells of none, the kernel's refusal has to.
pub(super) fn has_room(bytes: u64) -> bool {
    let supplies = memory::supplies();
    supplies
        .iter()
        .all(|supply| supply.available.saturating_sub(bytes) > supply.all / FREE_PART)
}

/// What has become of it.
#[derive(Debug, Default)]
pub(super) struct Collapsed {
    /// How much is in huge pages.
    pub(super) bytes: u64,
    /// Why not all.
    pub(super) why: String,
    /// The kernel knows the call.
    pub(super) known: bool,
}

/// What the kernel refuses: memory that a device has, or a range that can't be so, says nothing of others.
#[derive(Debug, Default)]
struct Refusals {
    /// How often, and why.
    all: BTreeMap<i32, (u64, io::Error)>,
    in_a_row: u32,
    ranges: u32,
    /// Where the last one ended: the range goes on there.
    given_up: Option<usize>,
}

impl Refusals {
    /// Whether this page is passed over, being of a range that was given up.
    fn passes(&mut self, page: &Range<usize>) -> bool {
        let passed = self.given_up == Some(page.start);
        self.given_up = passed.then_some(page.end);
        passed
    }

    fn granted(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether there is any use in going on.
    fn add(&mut self, page: &Range<usize>, error: io::Error) -> bool {
        let number = error.raw_os_error().unwrap_or(0);
        self.all.entry(number).or_insert((0, error)).0 += 1;
        self.in_a_row += 1;
        if self.in_a_row < MOST_REFUSALS {
            return true;
        }
        self.in_a_row = 0;
        self.ranges += 1;
        self.given_up = Some(page.end);
        // That there is no huge page left holds for all.
        self.ranges < MOST_RANGES && number != Errno::NOMEM.raw_os_error()
    }
}

/// Moves all of it into huge pages.
pub(super) fn all(ranges: &Ranges, budget: &Budget) -> Collapsed {
    let mut done = Collapsed {
        known: true,
        ..Collapsed::default()
    };
    if budget.is_over() {
        // Then there may be more than was found.
        done.why = OUT_OF_TIME.to_owned();
        return done;
    }
    let mut refused = Refusals::default();
    for (index, page) in ranges.pages(0).enumerate() {
        if budget.is_over() {
            done.why = OUT_OF_TIME.to_owned();
            break;
        }
        // Each adds what was missing of it, and is there beside what it replaces while it is made.
        let added = page.len() + BETWEEN_LOOKS * (page.len() / PARTS * (PARTS - PRESENT));
        if index % BETWEEN_LOOKS == 0 && !has_room(added as u64) {
            done.why = "there is little memory left".to_owned();
            break;
        }
        if refused.passes(&page) {
            continue;
        }
        match memory::collapse(&page) {
            Ok(()) => {
                done.bytes += page.len() as u64;
                refused.granted();
            }
            Err(error) => {
                if !refused.add(&page, error) {
                    break;
                }
            }
        }
    }
    let refused = refused.all;
    let unknown = done.bytes == 0 && refused.contains_key(&Errno::INVAL.raw_os_error());
    // The same answer is given for a range that can't be so.
    if unknown && memory::probe_collapse().is_err() {
        done.known = false;
        done.why = UNKNOWN.to_owned();
    } else if done.why.is_empty() && !refused.is_empty() {
        let told = refused
            .values()
            .map(|(times, error)| format!("{times} huge pages: {error}"));
        let told: Vec<String> = told.collect();
        done.why = told.join("; ");
    }
    done
}

/// Puts one huge page's memory together again, unless most of it has gone meanwhile. Whether there is any use
/// in going on: what is refused now may be granted another time, but that there is no huge page left holds for
/// all.
pub(super) fn again(ranges: &Ranges, page: &Range<usize>) -> bool {
    if !ranges.is_dense(page) {
        return true;
    }
    let refused = memory::collapse(page).err();
    refused.and_then(|error| error.raw_os_error()) != Some(Errno::NOMEM.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries pages, of which some are refused; how many were tried.
    fn tried(pages: &[Range<usize>], refuses: impl Fn(usize) -> Option<Errno>) -> usize {
        let mut refused = Refusals::default();
        let mut tried = 0;
        for page in pages {
            if refused.passes(page) {
                continue;
            }
            tried += 1;
            match refuses(page.start) {
                None => refused.granted(),
                Some(errno) if !refused.add(page, errno.into()) => break,
                Some(_) => {}
            }
        }
        tried
    }

    #[test]
    fn a_range_that_is_refused_does_not_keep_from_others() {
        let range = |from: usize| (from..from + 100).map(|at| at..at + 1);
        let pages: Vec<_> = range(0).chain(range(1000)).collect();
        let busy = |at: usize| (at < 1000).then_some(Errno::AGAIN);
        assert_eq!(tried(&pages, busy), 8 + 100);
        // Here and there is not in a row.
        assert_eq!(
            tried(&pages, |at| (at % 2 == 0).then_some(Errno::AGAIN)),
            200
        );
        // Nobody gets any.
        assert_eq!(tried(&pages, |_| Some(Errno::NOMEM)), 8);
        let many: Vec<_> = (0..20).flat_map(|at| range(at * 1000)).collect();
        assert_eq!(tried(&many, |_| Some(Errno::INVAL)), 8 * 8);
    }
}
