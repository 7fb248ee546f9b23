//! The arguments that [`std::env::args`] gives: in a worker others than its zygote was executed with.
//!
//! The standard library keeps where the system put the array of arguments and how many there were,
//! and reads the array anew at each call, up to the first null pointer. So the number can't grow, but
//! what the array points to can change. A zygote is executed with room behind its own arguments: a
//! mark, then empty ones. Before `main`, when the C library hands the array to the initialisers of
//! the program, a null pointer in the mark's place hides the room. A worker puts pointers to its own
//! arguments there.
//!
//! Only GNU's C library hands the array to initialisers. A program that takes the room says so by the
//! note in its file ([`marker`](crate::marker)), and only such a program is executed with any.

use crate::threads::{self, ManyThreads};
use crate::title;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where the room begins. Shown by ps(1) until the zygote has its title.
pub(crate) const MARK: &CStr = c"(room for the arguments of workers)";

/// How many arguments beyond the template's own a worker may have, when its zygote is executed with
/// room: nine bytes each.
pub const ROOM: usize = 4096;

/// How much room this program takes when it is executed as a zygote or as a worker.
#[must_use]
pub const fn own_room() -> usize {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        ROOM
    } else {
        0
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[used]
#[unsafe(link_section = ".init_array")]
static INITIALISER: unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = hide_room;

/// The array, when it has room.
static ARRAY: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());
/// How many pointers it has before the null pointer at its end.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

/// Run by the C library before `main`.
#[cfg_attr(not(all(target_os = "linux", target_env = "gnu")), allow(dead_code))]
unsafe extern "C" fn hide_room(count: c_int, array: *mut *mut c_char, _: *mut *mut c_char) {
    let Ok(slots) = usize::try_from(count) else {
        return;
    };
    if array.is_null() {
        return;
    }
    for slot in (1..slots).rev() {
        // SAFETY: the C library passes what `main` gets: an array of this many pointers and a null
        // pointer, which lives as long as the process.
        let place = unsafe { array.add(slot) };
        // SAFETY: as above; no thread has been started that could change it.
        let argument = unsafe { place.read() };
        if argument.is_null() {
            return;
        }
        // SAFETY: each pointer is to a string that lives as long as the process.
        let text = unsafe { CStr::from_ptr(argument) };
        if text.is_empty() {
            continue;
        }
        if text == MARK {
            // SAFETY: within the array; it is the program's to change, as C has it, and nobody reads
            // it meanwhile.
            unsafe { place.write(std::ptr::null_mut()) };
            SLOTS.store(slots, Ordering::Relaxed);
            ARRAY.store(array, Ordering::Release);
            title::set_end(argument.addr());
        }
        return;
    }
}

/// Why [`std::env::args`] can't give other arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaceError {
    /// The process was executed without room for any.
    NoRoom,
    /// There are more than there is room for.
    TooMany(usize),
    /// One has a NUL byte inside.
    Nul,
    /// Other threads might read them meanwhile.
    Threads(ManyThreads),
}

impl std::fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRoom => f.write_str("the program was executed without room for them"),
            Self::TooMany(most) => write!(f, "there is room for {most}"),
            Self::Nul => f.write_str("one has a NUL byte inside"),
            Self::Threads(threads) => threads.fmt(f),
        }
    }
}

impl std::error::Error for ReplaceError {}

/// Makes these the process's arguments, for [`std::env::args`] and, where the kernel allows it, for
/// ps(1): the program's name, which stays as it is when none is given, and those after it. They live
/// as long as the process.
///
/// # Errors
/// When there is no room for them, or the process has other threads.
pub fn replace(name: Option<&[u8]>, arguments: &[Vec<u8>]) -> Result<(), ReplaceError> {
    let array = ARRAY.load(Ordering::Acquire);
    if array.is_null() {
        return Err(ReplaceError::NoRoom);
    }
    let most = SLOTS.load(Ordering::Relaxed) - 1;
    if arguments.len() > most {
        return Err(ReplaceError::TooMany(most));
    }
    let mut all = name.into_iter().chain(arguments.iter().map(Vec::as_slice));
    if all.any(|argument| argument.contains(&0)) {
        return Err(ReplaceError::Nul);
    }
    threads::expect_single().map_err(ReplaceError::Threads)?;
    let name = if let Some(name) = name {
        name
    } else {
        // SAFETY: an array that has room has at least one pointer, to the program's name; this is the
        // only thread, so nobody writes it meanwhile.
        let name = unsafe { array.read() };
        // SAFETY: a string that lives as long as the process.
        unsafe { CStr::from_ptr(name) }.to_bytes()
    };
    // One block, as ps(1) reads them.
    let mut block = Vec::new();
    for argument in std::iter::once(name).chain(arguments.iter().map(Vec::as_slice)) {
        block.extend_from_slice(argument);
        block.push(0);
    }
    let block = block.leak();
    let range = block.as_ptr_range();
    title::set(range.start.addr(), range.end.addr());
    let mut rest = block;
    let mut slot = 0;
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (argument, after) = rest.split_at_mut(end + 1);
        // SAFETY: there are no more strings than slots, the name's included, as was checked; this is the
        // only thread, so nobody reads the array meanwhile. The string ends with a NUL byte and is never
        // freed.
        unsafe { array.wrapping_add(slot).write(argument.as_mut_ptr().cast()) };
        slot += 1;
        rest = after;
    }
    // SAFETY: behind the last one is another slot, or the null pointer that the array ends with.
    unsafe { array.wrapping_add(slot).write(std::ptr::null_mut()) };
    Ok(())
}
