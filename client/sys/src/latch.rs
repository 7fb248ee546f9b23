//! A descriptor that becomes readable once and stays so, for whoever has a copy of it. The end of a pipe
//! would not do: a forked child that lives on has a copy of the other end, which then never hangs up.

use crate::platform::latch as platform;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A descriptor that is not readable yet.
///
/// # Errors
/// When there is no free descriptor.
pub fn new() -> io::Result<OwnedFd> {
    platform::new()
}

/// Makes it readable for ever. Whoever reads from it takes nothing away. To be called once.
///
/// # Errors
/// When it is no latch.
pub fn release(latch: BorrowedFd<'_>) -> io::Result<()> {
    platform::release(latch)
}
