//! Bytes with descriptors over Unix stream sockets (SCM_RIGHTS).

use crate::platform::fdpass as platform;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// The most descriptors one message carries: the kernel's SCM_MAX_FD.
pub const MAX_PER_MESSAGE: usize = 253;

/// How long to wait before descriptors are sent again, while the user has too many in flight.
pub const CONGESTION_PAUSE: Duration = Duration::from_millis(2);
/// How long that is tried. It takes readers that keep up a few milliseconds to take them off.
pub const CONGESTION_LIMIT: Duration = Duration::from_secs(10);

const SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_PER_MESSAGE));

/// Descriptors could not be received; the stream's descriptors no longer agree with its bytes.
#[derive(Debug)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "descriptors were lost on the way in: this process has no free descriptor numbers \
             (raise its limit of open files), or a security module refused them",
        )
    }
}

impl std::error::Error for Truncated {}

/// Sends bytes and as many of the descriptors as one message takes; returns how many of each went.
///
/// When descriptors are left over only one byte goes with this message, so that all descriptors of a
/// frame arrive before its last byte: bytes must therefore outnumber the messages needed. Sends no
/// SIGPIPE.
///
/// # Errors
/// As sendmsg(2): `WouldBlock`, ETOOMANYREFS, a closed peer.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<(usize, usize)> {
    let now = &descriptors[..descriptors.len().min(MAX_PER_MESSAGE)];
    let bytes = if now.len() < descriptors.len() {
        &bytes[..bytes.len().min(1)]
    } else {
        bytes
    };
    let sent = match now {
        [] => {
            let flags = platform::send_flags(socket);
            rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, flags))?
        }
        now => send_with(socket, bytes, now)?,
    };
    Ok((sent, now.len()))
}

/// Not a part of who calls it, whose stack would be larger by the room for descriptors.
#[inline(never)]
fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let flags = platform::send_flags(socket);
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
    })
}

/// Whether sending failed as the user has too many descriptors in flight, all processes' together: others
/// take theirs off their sockets soon.
#[must_use]
pub fn is_congested(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error())
}

/// Receives bytes, and appends the descriptors that came with them, all close-on-exec. 0 bytes: the
/// end of the stream.
///
/// # Errors
/// As recvmsg(2); of kind [`io::ErrorKind::InvalidData`] with [`Truncated`] inside when descriptors
/// were lost, after which the connection must be given up.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    match receive_some(socket, buffer, descriptors)? {
        (count, false) => Ok(count),
        (_, true) => Err(io::Error::new(io::ErrorKind::InvalidData, Truncated)),
    }
}

/// As [`receive`]; whether descriptors were lost comes with the number of bytes, for who knows which.
///
/// # Errors
/// As recvmsg(2).
pub fn receive_some(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<(usize, bool)> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            platform::RECEIVE_FLAGS,
        )
    })?;
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = item {
            descriptors.extend(received.inspect(platform::received));
        }
    }
    let lost = message.flags.contains(ReturnFlags::CTRUNC);
    Ok((message.bytes, lost))
}
