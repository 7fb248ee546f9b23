//! Connections that belong to another user.

use super::{Daemon, programs};
use mpfork_transport::Channel;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The user that is nobody.
pub const NOBODY: u32 = 65534;

/// A connection whose peer is [`NOBODY`]: a process of that user has connected, and passed its socket
/// here. For root; `program` is a copy of the test program that user can execute.
///
/// # Panics
/// When it can't be made.
#[must_use]
pub fn connection_of_nobody(program: &Path, socket: &Path) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let status = Command::new(program)
        .arg("connect")
        .arg(socket)
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .uid(NOBODY)
        .gid(NOBODY)
        .status();
    assert!(status.unwrap().success());
    let mut received = Vec::new();
    mpfork_sys::fdpass::receive(ours.as_fd(), &mut [0], &mut received).unwrap();
    UnixStream::from(received.pop().unwrap())
}

/// A channel to the mpforkd whose peer is [`NOBODY`]; see [`connection_of_nobody`].
///
/// # Panics
/// When it can't be made.
pub async fn channel_of_nobody(program: &Path, daemon: &Daemon) -> Channel {
    let socket = connection_of_nobody(program, daemon.socket());
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UnixStream::from_std(socket).unwrap();
    let (channel, _) = mpfork_transport::channel_over(socket).await.unwrap();
    channel
}

/// A copy of the test program that everybody can execute, in a daemon's folder, which is opened to
/// everybody with its socket, as a careless administrator might.
#[must_use]
pub fn for_everybody(daemon: &Daemon) -> std::path::PathBuf {
    super::open_to_everybody(daemon);
    let program = daemon.path("client");
    programs::copy(&program);
    program
}
