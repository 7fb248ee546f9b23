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
            huge_page,
        }
    }

    pub(super) fn find(huge_page: usize) -> io::Result<Self> {
        let mut found = Self::none(huge_page);
        for mapping in memory::mappings()? {
            let start = mapping.range.start.next_multiple_of(huge_page);
            if mapping.kept_small || mapping.anonymous_bytes < huge_page as u64 {
                continue;
            }
            let mut at = start;
            while at + huge_page <= mapping.range.end {
                let range = at..at + huge_page;
                if found.is_dense(&range) {
                    found.push(range);
                }
                at += huge_page;
            }
        }
        Ok(found)
    }

    fn push(&mut self, range: Range<usize>) {
        match self.all.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.all.push(range),
        }
    }

    pub(super) fn is_dense(&self, range: &Range<usize>) -> bool {
        let present = memory::present_bytes(range).unwrap_or(0);
        present >= self.huge_page / PARTS * PRESENT
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Has the kernel prefer huge pages there, now and when it has nothing else to do. How many bytes.
    pub(super) fn advise(&self) -> io::Result<u64> {
        let mut longest: Vec<&Range<usize>> = self.all.iter().collect();
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
