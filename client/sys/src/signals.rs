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

/// Two real-time signals that GNU's C library keeps to itself: its own calls refuse them, and its
/// posix_spawn(3) leaves them ignored in what it executes.
const INTERNAL: std::ops::RangeInclusive<i32> = 32..=33;

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
        let action = KernelAction {
            action,
            rest: [0; 7],
        };
        // SAFETY: neither action runs code of this process; the C library installs its own when it
        // first needs it. The structure is longer than the kernel's, which begins with the action on
        // all platforms we run on; the rest of it, flags and mask, is empty.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const action,
                std::ptr::null_mut::<KernelAction>(),
                SET_BYTES,
            )
        };
        return check(result == 0);
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
    for signal in INTERNAL.filter(|signal| is_ignored(*signal)) {
        set_by_number(signal, false)?;
    }
    Ok(())
}

/// The beginning of the kernel's `struct sigaction`, and room for the rest of it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct KernelAction {
    action: libc::sighandler_t,
    rest: [usize; 7],
}

/// The size of the kernel's set of signals.
const SET_BYTES: libc::size_t = 8;

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
    action_of(signal) == Some(libc::SIG_IGN)
}

/// True when this process leaves the signal to its default action.
#[must_use]
pub fn is_default(signal: i32) -> bool {
    action_of(signal) == Some(libc::SIG_DFL)
}

fn action_of(signal: i32) -> Option<libc::sighandler_t> {
    let mut action = KernelAction {
        action: libc::SIG_DFL,
        rest: [0; 7],
    };
    // SAFETY: no new action is given; the old one goes to a structure of ours that outlives the call
    // and is longer than the kernel's. The C library's own call would refuse its own signals.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            std::ptr::null::<KernelAction>(),
            &raw mut action,
            SET_BYTES,
        )
    };
    (result == 0).then_some(action.action)
}

#[cfg(test)]
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
