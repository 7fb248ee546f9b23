//! The calling process.

use super::{dyld, libproc};
use rustix::fs::Mode;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

/// By path: another file may be there by now, which its identity will tell.
pub(crate) fn executable() -> io::Result<(PathBuf, PathBuf)> {
    let path = std::env::current_exe()?;
    Ok((path.clone(), path))
}

/// The system tells it to who sets it only.
pub(crate) fn umask() -> Option<u32> {
    None
}

pub(crate) fn mode(bits: u32) -> Mode {
    let low = u16::try_from(bits & 0o7777).unwrap_or(0o7777);
    Mode::from_bits_truncate(low)
}

/// Threads are not bound to CPUs.
pub(crate) fn affinity() -> Vec<u32> {
    Vec::new()
}

pub(crate) fn set_affinity(_cpus: &[u32]) -> io::Result<()> {
    Err(unsupported("threads can't be bound to CPUs"))
}

pub(crate) fn resident_bytes() -> u64 {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    libproc::info::<libc::proc_taskinfo>(own).map_or(0, |info| info.pti_resident_size)
}

/// The program and its libraries.
pub(crate) fn mapped_files() -> BTreeSet<Vec<u8>> {
    (0..dyld::image_count())
        .filter_map(|index| {
            let name = dyld::image_name(index);
            if name.is_null() {
                return None;
            }
            // SAFETY: the loader's string, which lives as long as the image; zygotes have one thread,
            // so nothing is unloaded meanwhile.
            Some(unsafe { CStr::from_ptr(name) }.to_bytes().to_vec())
        })
        .collect()
}

pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: a string that outlives the call.
    let result = unsafe { libc::pthread_setname_np(name.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

pub(crate) fn die_with_parent(_die: bool) -> io::Result<()> {
    Err(unsupported("the end of a parent kills no children"))
}

/// There are none.
pub(crate) fn has_capabilities(_file: BorrowedFd<'_>) -> bool {
    false
}

pub(crate) fn end_with_parent(end: bool) -> io::Result<()> {
    die_with_parent(end)
}

pub(crate) fn adopt_orphans() -> io::Result<()> {
    Err(unsupported(
        "orphans are adopted by the system's first process alone",
    ))
}

fn unsupported(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}
