//! Signal dispositions.

use std::io;

/// The highest signal number: there are no real-time ones.
pub const HIGHEST: i32 = 31;

/// Signals that the C library keeps to itself: none.
pub(crate) const INTERNAL: [i32; 0] = [];

/// Sets one of the C library's own signals, of which there are none.
pub(crate) fn set_internal(_signal: i32, _ignored: bool) -> io::Result<()> {
    Err(io::ErrorKind::InvalidInput.into())
}

/// What a signal does in this process.
pub(crate) fn action_of(signal: i32) -> Option<libc::sighandler_t> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one goes to a structure of ours that outlives the call.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a structure of integers, zeroed before the call filled it.
    let action = unsafe { action.assume_init() };
    (result == 0).then_some(action.sa_sigaction)
}
