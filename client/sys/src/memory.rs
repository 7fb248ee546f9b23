//! How this process's memory is backed: huge pages where the system has them, and where its C library
//! takes memory from. Nothing here changes what memory holds.

use crate::platform::memory as platform;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The size of a huge page; `None` where the system backs no anonymous memory by such.
#[must_use]
pub fn huge_page_size() -> Option<usize> {
    platform::huge_page_size()
}

/// Has a range of addresses, which begins and ends with pages, backed by huge pages when it is next
/// touched.
///
/// # Errors
/// ENOMEM when some of it is not mapped, EINVAL where the system does not do that; of kind
/// [`io::ErrorKind::Unsupported`] on a platform that has no such call.
pub fn advise_huge(range: &Range<usize>) -> io::Result<()> {
    platform::advise_huge(range)
}

/// Has a range of addresses never backed by huge pages.
///
/// # Errors
/// As [`advise_huge`].
pub fn advise_small(range: &Range<usize>) -> io::Result<()> {
    platform::advise_small(range)
}

/// Moves what a range of addresses holds into huge pages, now. What is so already costs next to nothing;
/// pages that are not there are made.
///
/// # Errors
/// EINVAL where the kernel does not know the call (Linux before 6.1) or the range can't be so, ENOMEM when
/// there is no huge page, EAGAIN and EBUSY when the kernel could not get hold of the pages; of kind
/// [`io::ErrorKind::Unsupported`] on a platform that has no such call.
pub fn collapse(range: &Range<usize>) -> io::Result<()> {
    platform::collapse(range)
}

/// How many bytes of a range of addresses, which begins with a page, are in memory.
///
/// # Errors
/// ENOMEM when some of it is not mapped; of kind [`io::ErrorKind::Unsupported`] on a platform where this
/// is not asked for.
pub fn present_bytes(range: &Range<usize>) -> io::Result<usize> {
    platform::present_bytes(range)
}

/// Whether huge pages can be made of memory that is there already, found out by doing so.
///
/// # Errors
/// As [`collapse`]; when the system has no huge pages.
pub fn probe_collapse() -> io::Result<()> {
    platform::probe_collapse()
}

/// A mapping of private memory that is no file's, nor a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<usize>,
    /// How much of it is there.
    pub anonymous_bytes: u64,
    /// How much of that is in huge pages.
    pub huge_bytes: u64,
    /// The program wants no huge pages there, or none in its children.
    pub kept_small: bool,
}

/// This process's mappings of private memory that are no file's, nor a stack.
///
/// # Errors
/// When the system does not tell.
pub fn mappings() -> io::Result<Vec<Mapping>> {
    platform::mappings()
}

/// How much private memory this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What is no file's.
    pub anonymous_bytes: u64,
    /// How much of that is in huge pages.
    pub huge_bytes: u64,
}

/// How much private memory this process has. The kernel looks at every page that is not huge: 10 ms for a
/// gigabyte.
///
/// # Errors
/// When the system does not tell.
pub fn totals() -> io::Result<Totals> {
    platform::totals()
}

/// About how much private memory this process has, at once; 0 where the system does not tell.
#[must_use]
pub fn about_private_bytes() -> u64 {
    platform::about_private_bytes()
}

/// What this process's memory comes out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    /// How many bytes there are in all.
    pub all: u64,
    /// How many of them can still be had.
    pub available: u64,
}

/// What this process's memory comes out of: the machine's, and that of each of its control groups that has
/// a limit. As far as the system tells.
#[must_use]
pub fn supplies() -> Vec<Supply> {
    platform::supplies()
}

/// Gives what malloc holds and nobody uses back to the system, as far as it is whole pages.
///
/// # Errors
/// Of kind [`io::ErrorKind::Unsupported`] where malloc is not the GNU C library's.
pub fn trim_heap() -> io::Result<()> {
    platform::trim_heap()
}

/// Has malloc's heap, as far as it reaches now, never backed by huge pages: where there is little of it, a
/// huge page would be more than it takes.
///
/// # Errors
/// As [`advise_huge`]; of kind [`io::ErrorKind::Unsupported`] where the heap's place is not known.
pub fn keep_heap_small() -> io::Result<()> {
    platform::keep_heap_small()
}

/// What [`plug_heap`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plugged {
    /// How many free pieces of the heap.
    pub pieces: u64,
    /// Their size together.
    pub bytes: u64,
    /// All there were; else some are left for want of time.
    pub all: bool,
}

/// Takes every free piece of malloc's heap for good, so that what is allocated from now on is not laid
/// between what is there. They are taken while this does not last longer than the limit.
///
/// # Errors
/// Of kind [`io::ErrorKind::Unsupported`] where malloc is not the GNU C library's, or its heap is none
/// that grows in one piece.
pub fn plug_heap(limit: Duration) -> io::Result<Plugged> {
    let deadline = Instant::now().checked_add(limit);
    platform::plug_heap(&|| deadline.is_some_and(|deadline| Instant::now() >= deadline))
}

/// Makes malloc take its next memory, up to about so many bytes, from a part of the heap of its own: it
/// begins with a huge page's boundary and shares none with what was allocated before. Returns that part.
/// To be called after [`plug_heap`]; a later malloc takes from elsewhere once this part is used up.
///
/// # Errors
/// As [`plug_heap`]; ENOMEM.
pub fn lay_out_arena(bytes: usize) -> io::Result<Range<usize>> {
    let Some(boundary) = huge_page_size() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    platform::lay_out_arena(bytes, boundary)
}
