//! Forking without telling anybody is not offered.

use std::io;
use std::time::Duration;

pub(crate) fn try_out() -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
}
