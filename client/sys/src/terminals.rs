//! Pseudoterminals, where systems differ.

use crate::platform::terminals as platform;
use std::io;
use std::os::fd::OwnedFd;

/// The master of a new pseudoterminal, close-on-exec, which does not become the process's own.
///
/// # Errors
/// As posix_openpt(3).
pub fn master() -> io::Result<OwnedFd> {
    platform::master()
}
