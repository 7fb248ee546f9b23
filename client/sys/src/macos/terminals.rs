//! Pseudoterminals.

use rustix::io::FdFlags;
use rustix::pty::{OpenptFlags, openpt};
use std::io;
use std::os::fd::OwnedFd;

pub(crate) fn master() -> io::Result<OwnedFd> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&master, FdFlags::CLOEXEC)?;
    Ok(master)
}
