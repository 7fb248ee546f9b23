//! Signal dispositions without handlers.

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal};
use std::io;

/// Sets a signal to its default action.
///
/// # Errors
/// EINVAL for SIGKILL and SIGSTOP.
pub fn set_default(signal: Signal) -> Result<(), Errno> {
    // SAFETY: the default action runs no code of this process.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.map(drop)
}

/// Ignores a signal.
///
/// # Errors
/// EINVAL for SIGKILL and SIGSTOP.
pub fn set_ignored(signal: Signal) -> Result<(), Errno> {
    // SAFETY: an ignored signal runs no code of this process.
    unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }.map(drop)
}

/// The highest signal number.
pub const HIGHEST: i32 = 64;

/// Sets a signal, real-time ones included, to its default action or ignores it.
///
/// # Errors
/// EINVAL for SIGKILL, SIGSTOP, numbers that are no signals, and those the C library keeps to itself.
pub fn set_by_number(signal: i32, ignored: bool) -> io::Result<()> {
    let action = if ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: neither action runs code of this process.
    let result = unsafe { libc::signal(signal, action) };
    if result == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Blocks exactly these signals, real-time ones included, in the calling thread; returns those that
/// can't be blocked because they are no signals or the C library keeps them to itself.
///
/// # Errors
/// As pthread_sigmask(3).
pub fn set_mask(signals: &[i32]) -> io::Result<Vec<i32>> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is ours; the call initialises it.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the call above, which can't fail for a valid pointer.
    let mut set = unsafe { set.assume_init() };
    let mut refused = Vec::new();
    for &signal in signals {
        // SAFETY: the set is initialised; a number that is no signal is refused.
        if unsafe { libc::sigaddset(&raw mut set, signal) } != 0 {
            refused.push(signal);
        }
    }
    // SAFETY: the set is initialised; the old one is not asked for.
    let result =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
    if result == 0 {
        Ok(refused)
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

/// True when this process ignores the signal.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given; the old one goes to a structure of ours that outlives the call.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: sigaction has filled it, as it returned 0.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
