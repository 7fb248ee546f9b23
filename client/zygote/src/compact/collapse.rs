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
/// Of the machine's memory, and of what a control group may have, such a part stays free.
const FREE_PART: u64 = 20;
/// How many huge pages are made between two looks at what memory is left.
const BETWEEN_LOOKS: usize = 16;
/// After so many refusals in a row there is no use in going on.
const MOST_REFUSALS: u32 = 8;

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

    fn is_over(&self) -> bool {
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

/// Moves all of it into huge pages.
pub(super) fn all(ranges: &Ranges, budget: &Budget) -> Collapsed {
    let mut done = Collapsed {
        known: true,
        ..Collapsed::default()
    };
    let mut refused: BTreeMap<i32, (u64, io::Error)> = BTreeMap::new();
    let mut in_a_row = 0;
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
        match memory::collapse(&page) {
            Ok(()) => {
                done.bytes += page.len() as u64;
                in_a_row = 0;
            }
            Err(error) => {
                in_a_row += 1;
                let number = error.raw_os_error().unwrap_or(0);
                refused.entry(number).or_insert((0, error)).0 += 1;
                if in_a_row >= MOST_REFUSALS {
                    break;
                }
            }
        }
    }
    if done.bytes == 0 && refused.contains_key(&Errno::INVAL.raw_os_error()) {
        done.known = false;
        done.why = "the kernel does not do it: Linux 6.1 or newer does".to_owned();
    } else if done.why.is_empty() && !refused.is_empty() {
        let told = refused
            .values()
            .map(|(times, error)| format!("{times} huge pages: {error}"));
        let told: Vec<String> = told.collect();
        done.why = told.join("; ");
    }
    done
}

/// Puts one huge page's memory together again, unless most of it has gone meanwhile.
pub(super) fn again(ranges: &Ranges, page: &Range<usize>) {
    if ranges.is_dense(page) {
        // What is refused now may be granted another time.
        let _ = memory::collapse(page);
    }
}
