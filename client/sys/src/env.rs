//! The environment of a process that still has one thread.

use crate::threads::ManyThreads;
use std::ffi::OsString;

/// Takes a variable out of the environment.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
pub fn take(name: &str) -> Result<Option<OsString>, ManyThreads> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    #[cfg(unix)]
    crate::threads::expect_single()?;
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile; on Windows the system
    // orders who reads and who writes.
    #[allow(clippy::disallowed_methods)]
    unsafe {
        std::env::remove_var(name);
    }
    Ok(Some(value))
}

/// Sets a variable.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
#[cfg(unix)]
pub(crate) fn set(name: &str, value: &std::ffi::OsStr) -> Result<(), ManyThreads> {
    crate::threads::expect_single()?;
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
    #[allow(clippy::disallowed_methods)]
    unsafe {
        std::env::set_var(name, value);
    }
    Ok(())
}

/// Replaces the whole environment by a block of entries `NAME=value`, each ended by a NUL byte. The
/// block lives as long as the process.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
#[cfg(unix)]
pub fn replace(mut block: Vec<u8>) -> Result<(), ManyThreads> {
    crate::threads::expect_single()?;
    // Whatever the block is, each pointer is to a string that ends within it.
    if block.last().is_some_and(|last| *last != 0) {
        block.push(0);
    }
    let mut pointers: Vec<*mut std::ffi::c_char> = Vec::new();
    let mut rest = block.leak();
    while let Some(end) = memchr::memchr(0, rest) {
        let (entry, after) = rest.split_at_mut(end + 1);
        pointers.push(entry.as_mut_ptr().cast());
        rest = after;
    }
    pointers.push(std::ptr::null_mut());
    let array = Box::leak(pointers.into_boxed_slice()).as_mut_ptr();
    unsafe extern "C" {
        static mut environ: *mut *mut std::ffi::c_char;
    }
    // SAFETY: this is the only thread, so nobody reads the pointer meanwhile; the array is
    // null-terminated and, as its strings, never freed.
    unsafe { environ = array };
    Ok(())
}
