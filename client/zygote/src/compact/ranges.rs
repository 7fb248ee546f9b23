//! Which memory is worth being in huge pages: what is private, no file's, no stack's, and there as good as
//! whole.

use mpfork_sys::memory;
use std::io;
use std::ops::Range;

/// Of a huge page so many parts...
pub(super) const PARTS: usize = 8;
/// ...must be there: the rest is added. What is sparse stays so.
pub(super) const PRESENT: usize = 7;
/// More pieces of addresses would cost more to keep apart than advice gains.
const MOST_ADVISED: usize = 512;

/// Ranges of addresses, each of whole huge pages, in order.
#[derive(Debug)]
pub(super) struct Ranges {
    all: Vec<Range<usize>>,
    /// The same, up to the ends of the mappings that they fill.
    to_ends: Vec<Range<usize>>,
    pub(super) huge_page: usize,
}

/// The pages that a piece of memory begins and ends with, too.
pub(super) fn whole_pages(range: &Range<usize>) -> Range<usize> {
    let page = rustix::param::page_size();
    range.start / page * page..range.end.next_multiple_of(page)
}

impl Ranges {
    pub(super) fn none(huge_page: usize) -> Self {
        Self {
            all: Vec::new(),
            to_ends: Vec::new(),
            huge_page,
        }
    }

    /// Those there are; fewer when that is not to go on, which it also tells. There may be terabytes of
    /// addresses.
    pub(super) fn find(huge_page: usize, is_over: &dyn Fn() -> bool) -> io::Result<(Self, bool)> {
        let mut found = Self::none(huge_page);
        for mapping in memory::mappings()? {
            if mapping.kept_small {
                continue;
            }
            // What is there of the mapping beyond what was found.
            let mut left = usize::try_from(mapping.anonymous_bytes).unwrap_or(usize::MAX);
            let mut at = mapping.range.start.next_multiple_of(huge_page);
            let mut runs = Vec::new();
            let mut over = false;
            while at + huge_page <= mapping.range.end && found.is_enough(left) {
                over = is_over();
                if over {
                    break;
                }
                let range = at..at + huge_page;
                let present = memory::present_bytes(&range).unwrap_or(0);
                if found.is_enough(present) {
                    push(&mut found.all, range.clone());
                    push(&mut runs, range);
                }
                left = left.saturating_sub(present);
                at += huge_page;
            }
            to_ends(&mut runs, &mapping.range, huge_page);
            found.to_ends.extend(runs);
            if over {
                return Ok((found, false));
            }
        }
        Ok((found, true))
    }

    /// Whether a huge page of which so much is there is as good as whole.
    fn is_enough(&self, present: usize) -> bool {
        present >= self.huge_page / PARTS * PRESENT
    }

    pub(super) fn is_dense(&self, range: &Range<usize>) -> bool {
        self.is_enough(memory::present_bytes(range).unwrap_or(0))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How much it is.
    pub(super) fn bytes(&self) -> u64 {
        self.all.iter().map(|range| range.len() as u64).sum()
    }

    /// Has the kernel prefer huge pages there, now and when it has nothing else to do. How many bytes.
    ///
    /// A mapping of which only a part is advised becomes several, which mremap(2) refuses as one: whoever
    /// lets it grow would find out.
    pub(super) fn advise(&self) -> io::Result<u64> {
        let mut longest: Vec<&Range<usize>> = self.to_ends.iter().collect();
        longest.sort_by_key(|range| std::cmp::Reverse(range.len()));
        let mut bytes = 0;
        for range in longest.into_iter().take(MOST_ADVISED) {
            memory::advise_huge(range)?;
            bytes += range.len() as u64;
        }
        Ok(bytes)
    }

    /// Each huge page's addresses, from the one that has this place among them.
    pub(super) fn pages(&self, from: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let size = self.huge_page;
        let pages = self.all.iter().flat_map(move |range| {
            let starts = range.clone().step_by(size);
            starts.map(move |at| at..at + size)
        });
        pages.skip(from)
    }
}

fn push(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Has the first and the last of a mapping's ranges reach its ends, where less than a huge page is between.
fn to_ends(runs: &mut [Range<usize>], mapping: &Range<usize>, huge_page: usize) {
    if let Some(first) = runs.first_mut()
        && first.start - mapping.start < huge_page
    {
        first.start = mapping.start;
    }
    if let Some(last) = runs.last_mut()
        && mapping.end - last.end < huge_page
    {
        last.end = mapping.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_a_mapping_is_advised_as_a_whole() {
        let advised = |pages: &[usize]| {
            let mut runs = Vec::new();
            for page in pages {
                push(&mut runs, page * 16..page * 16 + 16);
            }
            to_ends(&mut runs, &(10..75), 16);
            let ends = runs.iter().map(|range| (range.start, range.end));
            ends.collect::<Vec<_>>()
        };
        assert_eq!(advised(&[1, 2, 3]), [(10, 75)]);
        assert_eq!(advised(&[1, 3]), [(10, 32), (48, 75)]);
        assert_eq!(advised(&[2]), [(32, 48)]);
        assert_eq!(advised(&[]), []);
    }
}
