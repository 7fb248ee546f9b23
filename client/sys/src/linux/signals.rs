//! Signal dispositions, by the kernel's own call.

use std::io;

/// The highest signal number.
pub const HIGHEST: i32 = 64;

/// Two real-time signals that GNU's C library keeps to itself: its own calls refuse them, and its
/// posix_spawn(3) leaves them ignored in what it executes.
pub(crate) const INTERNAL: [i32; 2] = [32, 33];

/// The beginning of the kernel's `struct sigaction`, and room for the rest of it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct KernelAction {
    action: libc::sighandler_t,
    rest: [usize; 7],
}

/// The size of the kernel's set of signals.
const SET_BYTES: libc::size_t = 8;

/// Sets one of the C library's own signals to its default action, or ignores it.
pub(crate) fn set_internal(signal: i32, ignored: bool) -> io::Result<()> {
    let action = KernelAction {
        action: if ignored {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        },
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
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What a signal does in this process.
pub(crate) fn action_of(signal: i32) -> Option<libc::sighandler_t> {
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
