//! The byte stream under tonic.

use crate::connection::{Connection, Side};
use crate::failure::Failure;
use mpfork_sys::fdpass::{self, CONGESTION_LIMIT, CONGESTION_PAUSE};
use mpfork_sys::reactor::{Readable, Writable};
use mpfork_sys::sockets;
use rustix::io::Errno;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};

const SHORTEST_PATIENCE: Duration = Duration::from_millis(1);

/// How much is kept to be sent together.
const MOST_OUTGOING: usize = 64 << 10;

/// A Unix stream socket that carries the descriptors of its [`Connection`].
#[derive(Debug)]
pub struct FdStream {
    socket: Readable,
    /// While the socket takes no more.
    full: Option<Full>,
    connection: Connection,
    /// Received with the bytes of the read under way; kept for its allocation.
    arrived: Vec<OwnedFd>,
    congestion: Option<Congestion>,
    /// Written, but not sent yet.
    outgoing: Vec<u8>,
    /// How much of `outgoing` is sent.
    sent: usize,
    /// How long `outgoing` was when a flush was last put off.
    put_off: usize,
    /// Until the first call.
    silence: Option<Silence>,
    /// How long a peer that has ended its side may take nothing.
    patience: Option<Duration>,
    /// While it takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

/// How long the peer may be connected without a call.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    end: Pin<Box<Sleep>>,
}

/// Sending waits for the socket to take more.
#[derive(Debug)]
enum Full {
    Awaited(Writable),
    /// For want of a descriptor to await it by: it is tried after a while.
    Tried(Pin<Box<Sleep>>),
}

/// Sending waits for descriptors in flight to be received, somewhere.
#[derive(Debug)]
struct Congestion {
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl FdStream {
    /// The server's side of an accepted socket.
    ///
    /// # Errors
    /// When the runtime's reactor can't take it over.
    pub fn server(socket: UnixStream) -> io::Result<Self> {
        Self::new(socket, Side::Server)
    }

    /// Ends the connection unless a call is [served](Connection::served) within this time.
    #[must_use]
    pub fn first_call_within(mut self, limit: Duration) -> Self {
        self.silence = Some(Silence {
            limit,
            end: Box::pin(sleep(limit)),
        });
        self
    }

    /// Ends the connection when the peer has shut its writing side and takes nothing of what it is sent
    /// for this time.
    #[must_use]
    pub fn abandoned_after(mut self, limit: Duration) -> Self {
        // It is looked at each time.
        self.patience = Some(limit.max(SHORTEST_PATIENCE));
        self
    }

    /// Whether the peer has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(silence) = &mut self.silence else {
            return Ok(());
        };
        if self.connection.was_served() {
            self.silence = None;
        } else if silence.end.as_mut().poll(cx).is_ready() {
            let waited = silence.limit;
            return Err(self.fail(Failure::Silent { waited }));
        }
        Ok(())
    }

    pub(crate) fn client(socket: UnixStream) -> io::Result<Self> {
        Self::new(socket, Side::Client)
    }

    fn new(socket: UnixStream, side: Side) -> io::Result<Self> {
        let socket = Arc::new(OwnedFd::from(socket.into_std()?));
        Ok(Self {
            connection: Connection::new(side, &socket),
            socket: Readable::new(socket)?,
            full: None,
            arrived: Vec::new(),
            congestion: None,
            outgoing: Vec::new(),
            sent: 0,
            put_off: 0,
            silence: None,
            patience: None,
            stuck: None,
        })
    }

    /// Sends all that was written, unless nobody will ever take it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.sent;
        let sent = self.poll_send_all(cx);
        if sent.is_ready() || self.sent != before {
            self.stuck = None;
        }
        if sent.is_pending() {
            self.poll_stuck(cx)?;
        }
        sent
    }

    /// Whether the peer has ended its side and takes nothing. One that takes nothing for now, as it is
    /// stopped, has not ended it.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(limit) = self.patience else {
            return Ok(());
        };
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(limit)));
        while stuck.as_mut().poll(cx).is_ready() {
            if sockets::peer_has_ended(self.socket.as_fd()) {
                return Err(self.fail(Failure::Abandoned { waited: limit }));
            }
            stuck.as_mut().reset(Instant::now() + limit);
        }
        Ok(())
    }

    /// Sends all that was written.
    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            if let Some(congestion) = &mut self.congestion {
                ready!(congestion.pause.as_mut().poll(cx));
            }
            let connection = &self.connection;
            let rest = &self.outgoing[self.sent..];
            let sent = match &mut self.full {
                None => connection.send(self.socket.as_fd(), rest),
                Some(Full::Awaited(socket)) => {
                    ready!(socket.poll_write(cx, |socket| connection.send(socket, rest)))
                }
                Some(Full::Tried(pause)) => {
                    ready!(pause.as_mut().poll(cx));
                    connection.send(self.socket.as_fd(), rest)
                }
            };
            match sent {
                Ok(count) => {
                    self.congestion = None;
                    self.sent += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full = Some(match Writable::of(self.socket.as_fd()) {
                        Ok(socket) => Full::Awaited(socket),
                        Err(_) => Full::Tried(Box::pin(sleep(CONGESTION_PAUSE))),
                    });
                }
                Err(error) if fdpass::is_congested(&error) => {
                    self.congested().map_err(|failure| self.fail(failure))?;
                }
                Err(error) => {
                    let failure = Failure::socket("writing", &error);
                    return Poll::Ready(Err(self.fail(failure)));
                }
            }
        }
        self.full = None;
        self.outgoing.clear();
        self.outgoing.shrink_to(MOST_OUTGOING);
        self.sent = 0;
        self.put_off = 0;
        Poll::Ready(Ok(()))
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
        this.poll_silence(cx)?;
        let (socket, arrived) = (&this.socket, &mut this.arrived);
        let room = buffer.initialize_unfilled();
        let received = socket.poll_read(cx, |socket| fdpass::receive(socket, room, arrived));
        Poll::Ready(match ready!(received) {
            Ok(count) => {
                if !this.arrived.is_empty() {
                    // Before the bytes are seen: what they name is there.
                    let arrival = this.connection.arrived(&mut this.arrived);
                    arrival.map_err(|failure| this.fail(failure))?;
                }
                buffer.advance(count);
                Ok(())
            }
            Err(error) => Err(this.fail(read_failure(&error))),
        })
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

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.len() >= MOST_OUTGOING {
            ready!(this.poll_send(cx))?;
        }
        let mut room = MOST_OUTGOING - this.outgoing.len();
        let before = this.outgoing.len();
        for piece in pieces {
            let now = &piece[..piece.len().min(room)];
            this.outgoing.extend_from_slice(now);
            room -= now.len();
        }
        Poll::Ready(Ok(this.outgoing.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Puts off sending as long as other tasks, whose turn it is in between, write more. A request's
    /// headers, message and end come from different tasks right after each other; sent one by one
    /// they would wake the other side three times.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waits = this.full.is_some() || this.congestion.is_some();
        if this.sent == 0 && !waits && this.put_off < this.outgoing.len() {
            this.put_off = this.outgoing.len();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let ended = rustix::net::shutdown(&this.socket, rustix::net::Shutdown::Write);
        Poll::Ready(ended.map_err(Into::into))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
