//! What the system knows of the calling process and what it can be asked to do for it, where systems
//! differ.

use crate::platform::own_process as platform;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// A file to open for the running program, and the path the program had when it was started: on Linux the
/// file is the very one that runs, even when another one has its path by now.
///
/// # Errors
/// When the system does not tell.
pub fn executable() -> io::Result<(PathBuf, PathBuf)> {
    platform::executable()
}

/// Whether executing a file gives capabilities to the process.
#[must_use]
pub fn has_capabilities(file: BorrowedFd<'_>) -> bool {
    platform::has_capabilities(file)
}

/// The file mode creation mask; `None` where it can't be read without being set, for all threads.
#[must_use]
pub fn umask() -> Option<u32> {
    platform::umask()
}

/// Sets the file mode creation mask; bits that are no permissions are left out.
pub fn set_umask(mask: u32) {
    rustix::process::umask(platform::mode(mask));
}

/// The CPUs that the calling thread may run on; none where the system does not tell.
#[must_use]
pub fn affinity() -> Vec<u32> {
    platform::affinity()
}

/// How many CPUs the machine has that are online; `None` when the system does not tell.
#[must_use]
pub fn online_cpus() -> Option<usize> {
    // SAFETY: a call that takes a number and touches no memory of ours.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    usize::try_from(count).ok().filter(|count| *count > 0)
}

/// Has the calling thread run on these CPUs only.
///
/// # Errors
/// EINVAL when there are none such; of kind [`io::ErrorKind::Unsupported`] where threads can't be bound
/// to CPUs.
pub fn set_affinity(cpus: &[u32]) -> io::Result<()> {
    platform::set_affinity(cpus)
}

/// The memory that is resident, in bytes; 0 when the system does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    platform::resident_bytes()
}

/// The paths of the files that are mapped: program, libraries, data where the system tells of it.
#[must_use]
pub fn mapped_files() -> BTreeSet<Vec<u8>> {
    platform::mapped_files()
}

/// Names the calling thread, and with it, when it is the first one, the process.
///
/// # Errors
/// When the system refuses.
pub fn set_name(name: &CStr) -> io::Result<()> {
    platform::set_name(name)
}

/// Has this process killed when the *thread* that made it ends, or no more. See [`end_with_parent`].
///
/// # Errors
/// When a filter refuses it; of kind [`io::ErrorKind::Unsupported`] where the system offers nothing of
/// the kind: the process then has to notice.
pub fn die_with_parent(die: bool) -> io::Result<()> {
    platform::die_with_parent(die)
}

/// Has this process killed when its parent ends, or no more: the process, whichever of its threads made
/// this one. Until that is undone signal 40, of the real-time ones, is not this process's to use. What it
/// forks is not concerned.
///
/// # Errors
/// As [`die_with_parent`]; when the system refuses the signal.
pub fn end_with_parent(end: bool) -> io::Result<()> {
    platform::end_with_parent(end)
}

/// Has this process be the parent of its descendants whose own parents end.
///
/// # Errors
/// Of kind [`io::ErrorKind::Unsupported`] where the first process of the system always is.
pub fn adopt_orphans() -> io::Result<()> {
    platform::adopt_orphans()
}
