//! Unix sockets. Their addresses are paths: a descriptor has none.

use super::queue;
use rustix::event::kqueue::{EventFilter, EventFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) const LONGEST_ADDRESS: usize = 103;

/// By the folder's present path, which others may rename between the look and the connection.
pub(crate) fn connect_in(folder: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    let path = crate::descriptors::path_through(folder)?.join(name);
    let address = SocketAddrUnix::new(path)?;
    let client = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&client, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&client, true)?;
    rustix::net::connect(&client, &address)?;
    Ok(client)
}

/// There is no shorter one.
pub(crate) fn shorter(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    debug_assert!(path.as_os_str().as_bytes().len() > LONGEST_ADDRESS);
    Err(rustix::io::Errno::NAMETOOLONG.into())
}

pub(crate) fn datagram_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::io::{FdFlags, fcntl_setfd};
    use rustix::net::{SocketFlags, socketpair};
    let none = SocketFlags::empty();
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, none, None)?;
    fcntl_setfd(&one, FdFlags::CLOEXEC)?;
    fcntl_setfd(&other, FdFlags::CLOEXEC)?;
    Ok((one, other))
}

pub(crate) fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(unsupported("sockets have no names but paths"))
}

pub(crate) fn listens(_socket: BorrowedFd<'_>) -> io::Result<bool> {
    Err(unsupported("a socket does not tell whether it listens"))
}

fn unsupported(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Its end is an event's flag, whatever is there to be read.
pub(crate) fn peer_has_ended(socket: BorrowedFd<'_>) -> bool {
    let look = || -> rustix::io::Result<bool> {
        let queue = queue::new()?;
        let filter = EventFilter::Read(socket.as_raw_fd());
        queue::add(queue.as_fd(), filter, EventFlags::ADD)?;
        let mut events = Vec::with_capacity(1);
        queue::take(&queue, &mut events)?;
        Ok(events
            .iter()
            .any(|event| event.flags().contains(EventFlags::EOF)))
    };
    look().unwrap_or(false)
}
