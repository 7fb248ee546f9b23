//! Waiting for handles that tell of the end of a process.

use mpfork_sys::process;
use std::os::windows::io::BorrowedHandle;
use std::time::Duration;

/// Waits until the handle is signalled, no longer than `timeout`; whether it is. Needs nothing but the
/// system: it may be called when the process is about to end.
pub(crate) fn wait(sentinel: BorrowedHandle<'_>, timeout: Option<Duration>) -> bool {
    // What can't be waited for is not waited for.
    process::wait(sentinel, timeout).unwrap_or(true)
}
