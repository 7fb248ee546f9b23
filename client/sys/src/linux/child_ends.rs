//! The ends of children: signalfd(2).

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;

pub(crate) type Ends = SignalFd;

pub(crate) fn watch() -> io::Result<Ends> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    Ok(SignalFd::with_flags(&mask, flags)?)
}

pub(crate) fn read(ends: &Ends, mut seen: impl FnMut(Option<i32>)) {
    while let Ok(Some(record)) = ends.read_signal() {
        seen(i32::try_from(record.ssi_pid).ok());
    }
}
