//! The heap of the GNU C library's malloc, from which the Rust runtime takes memory too unless the
//! program says otherwise.
//!
//! Free pieces between what a program has loaded are what malloc hands out first. In a zygote, and in
//! each worker, writing to them splits the huge page they are in; taken for good they are out of the way.

use crate::memory::Plugged;
use std::io;
use std::ops::Range;

/// The largest pieces that are looked for: one that is mapped on its own for want of a free one, and given
/// back, does not change from which size on pieces are.
const LARGEST: usize = 64 << 20;
/// From this size on that holds; one of less would change it, and is kept, untouched.
const LARGE: usize = 32 << 20;
/// Pieces of up to this size are never mapped on their own, by default.
const BLOCK: usize = 96 << 10;
/// Those of the thread's cache are handed out by exact size, from the smallest up to this one...
const SMALL: usize = 1032;
/// ...in steps.
const STEP: usize = 16;
/// The smallest.
const LEAST: usize = 24;
/// How many pieces are taken between two looks at the clock.
const BETWEEN_LOOKS: u64 = 1024;

pub(crate) fn trim_heap() -> io::Result<()> {
    // SAFETY: it gives back memory that nobody has.
    unsafe { libc::malloc_trim(0) };
    Ok(())
}

fn allocate(size: usize) -> io::Result<usize> {
    // SAFETY: any size will do.
    let piece = unsafe { libc::malloc(size) };
    match piece.is_null() {
        true => Err(io::Error::last_os_error()),
        false => Ok(piece.expose_provenance()),
    }
}

/// Gives back what [`allocate`] has given.
///
/// # Safety
/// It was given by it, is given back once, and nothing uses it.
unsafe fn release(piece: usize) {
    // SAFETY: the caller's word.
    unsafe { libc::free(std::ptr::with_exposed_provenance_mut(piece)) };
}

/// Where the free end of the heap begins, which malloc hands out last, and where the heap ends.
fn top() -> io::Result<Range<usize>> {
    // SAFETY: it moves nothing.
    let end = unsafe { libc::sbrk(0) }.expose_provenance();
    // SAFETY: it counts. What it counts wraps around, but the free end is never that large.
    let size = unsafe { libc::mallinfo() }.keepcost;
    let start = usize::try_from(size).ok().filter(|size| *size > 0);
    match start.and_then(|size| end.checked_sub(size)) {
        Some(start) => Ok(start..end),
        // It has been replaced by another malloc, or has nothing yet.
        None => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Whether malloc's next piece of its heap's end is really laid there.
fn expect_one_piece(top: &Range<usize>) -> io::Result<()> {
    let piece = allocate(BLOCK)?;
    let beyond = piece >= top.start;
    let near = piece < top.end.saturating_add(8 << 20);
    // SAFETY: just allocated, and not used.
    unsafe { release(piece) };
    match beyond && near {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(crate) fn keep_heap_small() -> io::Result<()> {
    /// The fields after the program's name, of which this one says where the heap begins.
    const START: usize = 44;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let start = fields.and_then(|fields| fields.split(' ').nth(START)?.parse::<usize>().ok());
    let page = rustix::param::page_size();
    let start = start.ok_or(io::ErrorKind::Unsupported)? / page * page;
    // SAFETY: it moves nothing.
    let end = unsafe { libc::sbrk(0) }.expose_provenance();
    match start < end {
        true => super::memory::advise_small(&(start..end.next_multiple_of(page))),
        // It has been replaced by another malloc.
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// While this lasts, what is touched for the first time is no huge page: malloc touches what it cuts off.
struct SmallPages(bool);

impl SmallPages {
    fn new() -> Self {
        // SAFETY: it takes numbers and tells one.
        let before = unsafe { libc::prctl(libc::PR_GET_THP_DISABLE, 0, 0, 0, 0) };
        // It stays as it is where it is so already, or where that can't be told.
        Self(before == 0 && set_small_pages(1))
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        if self.0 {
            set_small_pages(0);
        }
    }
}

fn set_small_pages(only: libc::c_ulong) -> bool {
    let none: libc::c_ulong = 0;
    // SAFETY: it takes numbers, and is about how memory is backed.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, only, none, none, none) == 0 }
}

pub(crate) fn plug_heap(is_over: &dyn Fn() -> bool) -> io::Result<Plugged> {
    // Each piece's first bytes are touched, which may have been given back.
    let _small = SmallPages::new();
    let top = top()?;
    let mut plugged = Plugged::default();
    let halves = |from| std::iter::successors(Some(from), |size: &usize| Some(size / 2));
    let largest = halves(LARGEST).take_while(|size| *size > BLOCK);
    let large = halves(BLOCK).take_while(|size| *size > SMALL);
    let small = (LEAST..=SMALL).rev().step_by(STEP);
    for size in largest.chain(large).chain(small) {
        loop {
            if plugged.pieces % BETWEEN_LOOKS == 0 && is_over() {
                return Ok(plugged);
            }
            let Ok(piece) = allocate(size) else {
                // There is no room for one more; smaller ones may be free.
                break;
            };
            // What is mapped on its own lies elsewhere; in both cases there is no free piece left.
            if piece >= top.start {
                // A small one would be handed out next, from beside what was loaded.
                let may_be_mapped = size > BLOCK && size < LARGE;
                if size > SMALL && !may_be_mapped {
                    // SAFETY: just allocated, and not used.
                    unsafe { release(piece) };
                }
                break;
            }
            plugged.pieces += 1;
            plugged.bytes += size as u64;
        }
    }
    plugged.all = true;
    Ok(plugged)
}

pub(crate) fn lay_out_arena(bytes: usize, boundary: usize) -> io::Result<Range<usize>> {
    let _small = SmallPages::new();
    let before = top()?;
    expect_one_piece(&before)?;
    // Up to the boundary it is nobody's.
    let begin = before.start.next_multiple_of(boundary);
    let mut last = before.start;
    while last < begin {
        let size = (begin - last).clamp(LEAST, BLOCK);
        let piece = allocate(size)?;
        if piece < before.start {
            return Err(io::ErrorKind::Unsupported.into());
        }
        last = piece + size;
    }
    // What lies in front of a piece that stays is handed out from its beginning, and not given back to the
    // system, as the heap's end would be.
    let mut pieces = Vec::with_capacity(bytes / BLOCK + 1);
    let start = last;
    while last < start + bytes {
        let piece = allocate(BLOCK)?;
        pieces.push(piece);
        if piece < start {
            break;
        }
        last = piece + BLOCK;
    }
    let stays = allocate(LEAST);
    for piece in pieces {
        // SAFETY: allocated above, and not used.
        unsafe { release(piece) };
    }
    stays?;
    Ok(start..last)
}
