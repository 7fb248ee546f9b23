//! The environment of a process that still has one thread.

use crate::threads::{self, ManyThreads};
use std::ffi::{CString, OsString, c_char};

/// Takes a variable out of the environment.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
pub fn take(name: &str) -> Result<Option<OsString>, ManyThreads> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    threads::expect_single()?;
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
    #[allow(clippy::disallowed_methods)]
    unsafe {
        std::env::remove_var(name);
    }
    Ok(Some(value))
}

/// Replaces the whole environment. Each entry has the form NAME=value. The entries live as long as
/// the process.
///
/// # Errors
/// When the process has other threads, which might read the environment meanwhile.
pub fn replace(entries: Vec<CString>) -> Result<(), ManyThreads> {
    threads::expect_single()?;
    let mut pointers: Vec<*mut c_char> = entries.into_iter().map(CString::into_raw).collect();
    pointers.push(std::ptr::null_mut());
    let array = Box::leak(pointers.into_boxed_slice()).as_mut_ptr();
    unsafe extern "C" {
        static mut environ: *mut *mut c_char;
    }
    // SAFETY: this is the only thread, so nobody reads the pointer meanwhile; the array is
    // null-terminated and, as its strings, never freed.
    unsafe { environ = array };
    Ok(())
}
