//! Signal dispositions without handlers.

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal};

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
