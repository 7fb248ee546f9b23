//! The byte stream under tonic.

use crate::connection::{Connection, Side};
use crate::failure::Failure;
use mpfork_sys::fdpass;
use rustix::io::Errno;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long sending is tried again while the user has too many descriptors in flight. It takes
/// readers that keep up a few milliseconds to take them off.
const CONGESTION_LIMIT: Duration = Duration::from_secs(10);
const CONGESTION_PAUSE: Duration = Duration::from_millis(2);

/// A Unix stream socket that carries the descriptors of its [`Connection`].
#[derive(Debug)]
pub struct FdStream {
    socket: UnixStream,
    connection: Connection,
    /// Received with the bytes of the read under way; kept for its allocation.
    arrived: Vec<OwnedFd>,
    congestion: Option<Congestion>,
}

/// Sending waits for descriptors in flight to be received, somewhere.
#[derive(Debug)]
struct Congestion {
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl FdStream {
    /// The server's side of an accepted socket.
    #[must_use]
    pub fn server(socket: UnixStream) -> Self {
        Self::new(socket, Side::Server)
    }

    pub(crate) fn client(socket: UnixStream) -> Self {
        Self::new(socket, Side::Client)
    }

    fn new(socket: UnixStream, side: Side) -> Self {
        Self {
            socket,
            connection: Connection::new(side),
            arrived: Vec::new(),
            congestion: None,
        }
    }

    /// The handle that outlives the stream.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        self.arrived.clear();
        self.connection.fail(failure.clone());
        // The peer is to learn it now, even if a forked process holds a copy of the socket. It fails
        // only when the socket is dead already.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        failure.into_io()
    }

    /// Sets up the next pause, unless it has been too long.
    fn congested(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let since = self.congestion.as_ref().map_or(now, |c| c.since);
        let waited = now - since;
        if waited >= CONGESTION_LIMIT {
            return Err(Failure::TooManyInFlight { waited });
        }
        // Longer as it lasts: a tenth of the time so far.
        let pause = CONGESTION_PAUSE.max(waited / 10);
        self.congestion = Some(Congestion {
            since,
            pause: Box::pin(sleep(pause)),
        });
        Ok(())
    }
}

impl Drop for FdStream {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl tonic::transport::server::Connected for FdStream {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection()
    }
}

impl AsyncRead for FdStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.socket.poll_read_ready(cx))?;
            let (socket, arrived) = (&this.socket, &mut this.arrived);
            let room = buffer.initialize_unfilled();
            let received = socket.try_io(Interest::READABLE, || {
                fdpass::receive(socket.as_fd(), room, arrived)
            });
            match received {
                Ok(count) => {
                    if !this.arrived.is_empty() {
                        // Before the bytes are seen: what they name is there.
                        let arrival = this.connection.arrived(&mut this.arrived);
                        arrival.map_err(|failure| this.fail(failure))?;
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(this.fail(read_failure(&error)))),
            }
        }
    }
}

fn read_failure(error: &io::Error) -> Failure {
    let lost = error
        .get_ref()
        .is_some_and(|inner| inner.is::<fdpass::Truncated>());
    // Linux says MSG_CTRUNC when there are no free numbers; others say EMFILE.
    if lost
        || matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE)
        )
    {
        Failure::DescriptorsLost
    } else {
        Failure::socket("reading", error)
    }
}

impl AsyncWrite for FdStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// HTTP/2 frames come in pieces; together they wake the reader once.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            if let Some(congestion) = &mut this.congestion {
                ready!(congestion.pause.as_mut().poll(cx));
            }
            ready!(this.socket.poll_write_ready(cx))?;
            let (socket, connection) = (&this.socket, &this.connection);
            let sent = socket.try_io(Interest::WRITABLE, || {
                connection.send(socket.as_fd(), pieces)
            });
            match sent {
                Ok(count) => {
                    this.congestion = None;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOMANYREFS) => {
                    this.congested().map_err(|failure| this.fail(failure))?;
                }
                Err(error) => {
                    let failure = Failure::socket("writing", &error);
                    return Poll::Ready(Err(this.fail(failure)));
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is buffered here.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
