//! What the system tells of processes: libproc(3).

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;

/// The structure that belongs to a flavour of proc_pidinfo: plain integers, of which all bytes zero are a
/// value.
///
/// # Safety
/// The kernel fills exactly this structure for [`Self::FLAVOUR`].
pub(crate) unsafe trait Info: Copy {
    const FLAVOUR: libc::c_int;
}

// SAFETY: PROC_PIDTASKINFO fills a proc_taskinfo.
unsafe impl Info for libc::proc_taskinfo {
    const FLAVOUR: libc::c_int = libc::PROC_PIDTASKINFO;
}

// SAFETY: PROC_PIDTBSDINFO fills a proc_bsdinfo.
unsafe impl Info for libc::proc_bsdinfo {
    const FLAVOUR: libc::c_int = libc::PROC_PIDTBSDINFO;
}

/// What the system tells of a process.
///
/// # Errors
/// ESRCH, and EPERM for another user's.
pub(crate) fn info<T: Info>(pid: i32) -> io::Result<T> {
    let mut info = MaybeUninit::<T>::zeroed();
    let length = libc::c_int::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the buffer is ours, outlives the call and has this length.
    let filled =
        unsafe { libc::proc_pidinfo(pid, T::FLAVOUR, 0, info.as_mut_ptr().cast(), length) };
    if filled < length {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers, zeroed before the call filled them.
    Ok(unsafe { info.assume_init() })
}

/// This process's open descriptors.
///
/// # Errors
/// When the system does not list them.
pub(crate) fn descriptors() -> io::Result<Vec<libc::proc_fdinfo>> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let list: Vec<libc::proc_fdinfo> = list(|buffer, length| {
        // SAFETY: `list` gives a buffer of this length for the time of the call.
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDLISTFDS, 0, buffer, length) }
    })?;
    Ok(list)
}

/// The pids of a process group; none when there is no such group.
///
/// # Errors
/// When the list does not end.
pub(crate) fn group(leader: i32) -> io::Result<Vec<libc::pid_t>> {
    const PGRP_ONLY: u32 = 2;
    let pids: Vec<libc::pid_t> = list(|buffer, length| {
        // SAFETY: `list` gives a buffer of this length for the time of the call.
        unsafe { libc::proc_listpids(PGRP_ONLY, leader.unsigned_abs(), buffer, length) }
    })?;
    Ok(pids.into_iter().filter(|pid| *pid > 0).collect())
}

/// Integers alone, of which all bytes zero are a value.
///
/// # Safety
/// It must be so.
unsafe trait Plain: Copy {}
// SAFETY: two integers.
unsafe impl Plain for libc::proc_fdinfo {}
// SAFETY: an integer.
unsafe impl Plain for libc::pid_t {}

/// Asks for a list, with more room until it fits. `ask` fills a buffer of so many bytes, and tells how
/// many it has filled.
fn list<T: Plain>(
    mut ask: impl FnMut(*mut c_void, libc::c_int) -> libc::c_int,
) -> io::Result<Vec<T>> {
    let mut room = 64_usize;
    // 2^20 are more than the system has.
    while room <= 1 << 20 {
        let mut list: Vec<MaybeUninit<T>> = vec![MaybeUninit::zeroed(); room];
        let length = libc::c_int::try_from(room * size_of::<T>()).map_err(io::Error::other)?;
        let filled = ask(list.as_mut_ptr().cast(), length);
        let count = usize::try_from(filled).unwrap_or(0) / size_of::<T>();
        if count < room {
            list.truncate(count);
            // SAFETY: integers, zeroed before the call filled them.
            let known = list.into_iter().map(|item| unsafe { item.assume_init() });
            return Ok(known.collect());
        }
        room *= 4;
    }
    Err(io::Error::other("the list of the system does not end"))
}
