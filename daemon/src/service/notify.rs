//! The service manager's socket, as sd_notify(3) describes it.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where it listens: a path, or with an `@` in front a name in the abstract namespace, where containers'
/// managers are.
pub(super) fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => mpfork_sys::sockets::abstract_address(name),
        None => SocketAddr::from_pathname(socket),
    }
}

/// Tells it. One that does not read what it was told before is waited for so long and no longer: all of
/// mpforkd waits meanwhile.
pub(super) fn notify(
    to: &SocketAddr,
    states: &[NotifyState<'_>],
    patience: Duration,
) -> io::Result<()> {
    let mut message = String::new();
    for state in states {
        writeln!(message, "{state}").map_err(io::Error::other)?;
    }
    let socket = UnixDatagram::unbound()?;
    if patience.is_zero() {
        socket.set_nonblocking(true)?;
    } else {
        socket.set_write_timeout(Some(patience))?;
    }
    // A message is sent whole or not at all.
    socket.send_to_addr(message.as_bytes(), to).map(drop)
}
