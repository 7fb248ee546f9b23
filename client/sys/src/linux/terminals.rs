//! Pseudoterminals.

use rustix::pty::{OpenptFlags, openpt};
use std::io;
use std::os::fd::OwnedFd;

pub(crate) fn master() -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(openpt(flags)?)
}
