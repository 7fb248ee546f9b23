//! A heap in huge pages, by nothing but what the kernel offers.

use anyhow::{Context as _, ensure};
use mpfork_sys::memory;

/// How often a huge page that could not be had at once is tried again.
const TRIES: u32 = 5;

/// Collapses what this process has allocated, as far as it is whole huge pages.
pub(super) fn collapse_heap() -> anyhow::Result<()> {
    let size = memory::huge_page_size().context("the system has no huge pages")?;
    let (mut all, mut failed) = (0, Vec::new());
    for mapping in memory::mappings()? {
        let range = mapping.range.start.next_multiple_of(size)..mapping.range.end / size * size;
        if range.len() < size {
            continue;
        }
        memory::advise_huge(&range)?;
        for start in range.step_by(size) {
            // One that can't be had, or is in use just then, is not the end of it.
            let mut tries = (0..TRIES).map(|_| memory::collapse(&(start..start + size)));
            all += 1;
            if !tries.any(|tried| tried.is_ok()) {
                failed.extend(memory::collapse(&(start..start + size)).err());
            }
        }
    }
    let count = failed.len();
    ensure!(
        count * 10 <= all,
        "of {all} huge pages {count} can't be had: {:?}",
        failed.last()
    );
    Ok(())
}
