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

/// Makes a piece that [`allocate`] has given, which stays, as small as can be. One that is mapped on its own
/// stays so, in a page: it takes no addresses, nor what the system has promised to each worker.
///
/// # Safety
/// It was given by it, was not given back, and nothing uses it.
unsafe fn shrink(piece: usize) {
    // SAFETY: the caller's word. Where it is now nobody needs to know; refused, it stays as it is.
    unsafe { libc::realloc(std::ptr::with_exposed_provenance_mut(piece), LEAST) };
}

/// Where the whole heap is, as the system has it: it grows at its end.
fn whole() -> io::Result<Range<usize>> {
    /// The fields after the program's name, of which this one says where the heap begins.
    const START: usize = 44;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
    let start = fields.and_then(|fields| fields.split(' ').nth(START)?.parse::<usize>().ok());
    // SAFETY: it moves nothing.
    let end = unsafe { libc::sbrk(0) }.expose_provenance();
    match start {
        Some(start) if start < end => Ok(start..end),
        // It has been replaced by another malloc, or has nothing yet.
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What malloc has of the heap.
struct Heap {
    /// What it has handed out, with free pieces between.
    used: Range<usize>,
    /// The free end, which it hands out last.
    top: Range<usize>,
}

impl Heap {
    fn now() -> io::Result<Self> {
        let whole = whole()?;
        // SAFETY: it counts. What it counts wraps around, but the free end is never that large.
        let size = unsafe { libc::mallinfo() }.keepcost;
        let size = usize::try_from(size).ok().filter(|size| *size > 0);
        match size.and_then(|size| whole.end.checked_sub(size)) {
            Some(top) if top >= whole.start => Ok(Self {
                used: whole.start..top,
                top: top..whole.end,
            }),
            // It has been replaced by another malloc, or has nothing yet.
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
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
    let page = rustix::param::page_size();
    let whole = whole()?;
    super::memory::advise_small(&(whole.start / page * page..whole.end.next_multiple_of(page)))
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
    // Where pieces that are mapped on their own lie depends on the system: above the heap, or below it.
    let used = Heap::now()?.used;
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
            // It is of the free end, or mapped on its own: in both cases there is no free piece left.
            if !used.contains(&piece) {
                let may_be_mapped = size > BLOCK && size < LARGE;
                if may_be_mapped {
                    // SAFETY: just allocated, and not used.
                    unsafe { shrink(piece) };
                } else if size > SMALL {
                    // A small one would be handed out next, from beside what was loaded.
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
    if boundary > LARGE {
        // What lies up to the boundary would take more than is gained.
        let why = "huge pages are too large to lay anything apart from them";
        return Err(io::Error::other(why));
    }
    let _small = SmallPages::new();
    let before = Heap::now()?.top;
    expect_one_piece(&before)?;
    // Up to the boundary it is nobody's.
    let begin = before.start.next_multiple_of(boundary);
    let mut last = before.start;
    while last < begin {
        let size = (begin - last).clamp(LEAST, BLOCK);
        last = allocate_after(last, size)? + size;
    }
    // What lies in front of a piece that stays is handed out from its beginning, and not given back to the
    // system, as the heap's end would be.
    let mut pieces = Vec::with_capacity(bytes / BLOCK + 1);
    let start = last;
    let mut laid_out = Ok(());
    while laid_out.is_ok() && last < start + bytes {
        laid_out = allocate_after(last, BLOCK).map(|piece| {
            pieces.push(piece);
            last = piece + BLOCK;
        });
    }
    let stays = allocate(LEAST);
    for piece in pieces {
        // SAFETY: allocated above, and not used.
        unsafe { release(piece) };
    }
    laid_out?;
    stays?;
    Ok(start..last)
}

/// A piece of the heap's end, of which pieces up to here were taken.
fn allocate_after(last: usize, size: usize) -> io::Result<usize> {
    let piece = allocate(size)?;
    match (last..last.saturating_add(BLOCK)).contains(&piece) {
        true => Ok(piece),
        false => {
            // SAFETY: just allocated, and not used.
            unsafe { release(piece) };
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
