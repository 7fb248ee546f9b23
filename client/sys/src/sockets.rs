//! Unix sockets, where systems differ.

use crate::platform::sockets as platform;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

/// The longest path that a socket's address takes, without its final NUL.
pub const LONGEST_ADDRESS: usize = platform::LONGEST_ADDRESS;

/// Connects to a socket file that lies in an open folder, however long its name, without waiting.
///
/// # Errors
/// As connect(2); EAGAIN when it has too many connections waiting; ENAMETOOLONG where a long path can't
/// be had shorter.
pub fn connect_in(folder: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    platform::connect_in(folder, name)
}

/// A path for a socket file whose own is too long for an address, and what keeps it valid.
///
/// # Errors
/// When there is no such file; ENAMETOOLONG where a long path can't be had shorter.
pub fn shorter(path: &Path) -> io::Result<(OwnedFd, std::path::PathBuf)> {
    platform::shorter(path)
}

/// Two Unix sockets that pass messages to each other, close-on-exec.
///
/// # Errors
/// When there are no free descriptors.
pub fn datagram_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    platform::datagram_pair()
}

/// The address of a name in the abstract namespace.
///
/// # Errors
/// For a name that is too long; of kind [`io::ErrorKind::Unsupported`] where there is no such namespace.
pub fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    platform::abstract_address(name)
}

/// Whether a socket listens.
///
/// # Errors
/// For what is no socket; of kind [`io::ErrorKind::Unsupported`] where sockets do not tell.
pub fn listens(socket: BorrowedFd<'_>) -> io::Result<bool> {
    platform::listens(socket)
}

/// Whether the other side of a stream socket has ended its sending or closed it, whatever it sent before
/// and is not read yet.
#[must_use]
pub fn peer_has_ended(socket: BorrowedFd<'_>) -> bool {
    platform::peer_has_ended(socket)
}
