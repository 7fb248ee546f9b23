//! Signal dispositions without handlers.

use crate::platform::signals::{self as platform, INTERNAL};
use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal};
use std::io;

pub use crate::platform::signals::HIGHEST;

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

/// Sets a signal, real-time ones included, to its default action or ignores it.
///
/// # Errors
/// EINVAL for SIGKILL, SIGSTOP and numbers that are no signals.
pub fn set_by_number(signal: i32, ignored: bool) -> io::Result<()> {
    let action = if ignored {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    if INTERNAL.contains(&signal) {
        return platform::set_internal(signal, ignored);
    }
    // SAFETY: neither action runs code of this process.
    let result = unsafe { libc::signal(signal, action) };
    check(result != libc::SIG_ERR)
}

fn check(done: bool) -> io::Result<()> {
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets the two signals that are the C library's own to their default action where they are ignored,
/// as they are in a process that it has spawned.
///
/// # Errors
/// When a filter refuses it.
pub fn reset_internal() -> io::Result<()> {
    for signal in INTERNAL.into_iter().filter(|signal| is_ignored(*signal)) {
        set_by_number(signal, false)?;
    }
    Ok(())
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

/// The signals blocked in the calling thread, real-time ones included.
///
/// # Errors
/// As pthread_sigmask(3).
pub fn blocked() -> io::Result<Vec<i32>> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: no new set is given; the old one goes to a structure of ours that outlives the call.
    let result =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: the call has filled it, as it returned 0.
    let set = unsafe { set.assume_init() };
    let is_member = |signal: &i32| {
        // SAFETY: the set is initialised; a number that is no signal is refused.
        (unsafe { libc::sigismember(&raw const set, *signal) }) == 1
    };
    Ok((1..=HIGHEST).filter(is_member).collect())
}

/// True when this process ignores the signal.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    platform::action_of(signal) == Some(libc::SIG_IGN)
}

/// True when this process leaves the signal to its default action.
#[must_use]
pub fn is_default(signal: i32) -> bool {
    platform::action_of(signal) == Some(libc::SIG_DFL)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn real_time_signals_and_the_c_librarys_own() {
        for signal in [33, 63] {
            set_by_number(signal, true).unwrap();
            assert!(is_ignored(signal));
        }
        reset_internal().unwrap();
        assert!(!is_ignored(33));
        assert!(is_ignored(63));
        set_by_number(63, false).unwrap();
        assert!(!is_ignored(63));
        assert!(set_by_number(9, true).is_err());
        assert!(set_by_number(65, true).is_err());
        assert_eq!(set_mask(&[10, 40, 9, 99]).unwrap(), [99]);
        assert_eq!(blocked().unwrap(), [10, 40]);
        set_mask(&[]).unwrap();
    }
}
