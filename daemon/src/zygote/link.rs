//! The supervisor's end of a link: frames with descriptors, both ways, without blocking.

use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_proto::link::{SupervisorFrame, ZygoteFrame, supervisor_frame, zygote_frame};
use mpfork_sys::fdpass::{self, CONGESTION_PAUSE, is_congested};
use mpfork_sys::reactor::{Readable, Writable};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How much is read at once.
const CHUNK_BYTES: usize = 4 << 10;

/// A link that is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the link broke: {0}")]
    Io(#[from] io::Error),
    #[error("the zygote broke the protocol: {0}")]
    Frame(#[from] FrameError),
    #[error("the zygote broke the protocol: a frame names descriptors that it did not bring")]
    Descriptors,
}

impl LinkError {
    /// Whether the other end is closed, which the end of what it has sent tells as well.
    pub(crate) fn is_hung_up(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        matches!(self, Self::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset))
    }
}

/// A frame on its way out.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Of a Fork, the worker.
    fork: Option<u64>,
    descriptors: VecDeque<OwnedFd>,
}

/// Whether the user had too many descriptors in flight.
#[derive(Debug, Default)]
struct Congestion {
    /// When something was to be sent last.
    now: bool,
    /// When it was so last.
    last: Option<Instant>,
}

/// Both directions of a link. One task reads; anyone may send.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Readable,
    outgoing: Mutex<VecDeque<Outgoing>>,
    congestion: Mutex<Congestion>,
    /// Tells the reading task that something waits to be sent.
    waiting: Notify,
    /// Each holds a number for a descriptor that is to come: a pidfd for which no number is free would
    /// be lost, and the link with it.
    held: Mutex<Vec<OwnedFd>>,
}

/// What one task has read of a link.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    buffer: FrameBuffer,
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    /// The socket must not block.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: Readable::new(socket)?,
            outgoing: Mutex::default(),
            congestion: Mutex::default(),
            waiting: Notify::new(),
            held: Mutex::default(),
        })
    }

    /// Sees to it that there will be a number for one descriptor more.
    pub(crate) fn expect_descriptor(&self) -> io::Result<()> {
        let number = self.socket.as_fd().try_clone_to_owned()?;
        self.held().push(number);
        Ok(())
    }

    /// No more descriptors than these are to come.
    pub(crate) fn expect_at_most(&self, count: usize) {
        self.held().truncate(count);
    }

    /// Receives with a number free, where a descriptor may come.
    fn fill(&self, bytes: &mut [u8], arrived: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let number = self.held().pop();
        let expected = number.is_some();
        drop(number);
        let received = fdpass::receive(self.socket.as_fd(), bytes, arrived);
        if expected && arrived.is_empty() {
            // It is still to come. Only another thread could have taken the number meanwhile; then the
            // next descriptor has to find one by itself.
            let _ = self.expect_descriptor();
        }
        received
    }

    /// Sends a frame now or, when the socket is full, as soon as it takes it.
    pub(crate) fn send(
        &self,
        frame: supervisor_frame::Frame,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), LinkError> {
        let fork = match &frame {
            supervisor_frame::Frame::Fork(fork) => Some(fork.worker),
            _ => None,
        };
        let frame = SupervisorFrame {
            // A frame carries a handful.
            descriptors: u32::try_from(descriptors.len()).unwrap_or(u32::MAX),
            frame: Some(frame),
        };
        let outgoing = Outgoing {
            bytes: frame::encode(&frame)?,
            sent: 0,
            fork,
            descriptors: descriptors.into(),
        };
        let mut queue = self.queue();
        queue.push_back(outgoing);
        if queue.len() > 1 {
            // The reading task knows.
            return Ok(());
        }
        let sent = send_front(self.socket.as_fd(), &mut queue);
        let waits =
            |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock || is_congested(error);
        if sent.as_ref().is_err_and(|error| !waits(error)) {
            queue.pop_back();
        }
        drop(queue);
        match sent {
            Err(error) if waits(&error) => {
                self.note(is_congested(&error));
                self.waiting.notify_one();
            }
            sent => sent?,
        }
        Ok(())
    }

    /// Takes a Fork back of which nothing has left; false when there is none.
    pub(crate) fn withdraw(&self, worker: u64) -> bool {
        let is_it = |waiting: &Outgoing| waiting.fork == Some(worker) && waiting.sent == 0;
        let mut queue = self.queue();
        let at = queue.iter().position(is_it);
        let withdrawn = at.and_then(|at| queue.remove(at));
        drop(queue);
        withdrawn.is_some()
    }

    /// Whether what is to be sent waits, as the user has too many descriptors in flight.
    pub(crate) fn is_congested(&self) -> bool {
        self.congestion().now && !self.queue().is_empty()
    }

    /// Whether it did so within this time.
    pub(crate) fn was_congested(&self, within: Duration) -> bool {
        let last = self.congestion().last;
        last.is_some_and(|last| last.elapsed() < within)
    }

    fn note(&self, congested: bool) {
        let mut congestion = self.congestion();
        congestion.now = congested;
        if congested {
            congestion.last = Some(Instant::now());
        }
    }

    fn congestion(&self) -> std::sync::MutexGuard<'_, Congestion> {
        self.congestion
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame with its descriptors; `None` at the end of the link. Sends meanwhile what had
    /// to wait.
    pub(crate) async fn receive(
        &self,
        incoming: &mut Incoming,
    ) -> Result<Option<(zygote_frame::Frame, Vec<OwnedFd>)>, LinkError> {
        loop {
            if let Some(frame) = incoming.buffer.take::<ZygoteFrame>()? {
                let count = frame.descriptors as usize;
                if count > incoming.descriptors.len() {
                    return Err(LinkError::Descriptors);
                }
                let descriptors = incoming.descriptors.drain(..count).collect();
                match frame.frame {
                    Some(frame) => return Ok(Some((frame, descriptors))),
                    // A frame of a later version.
                    None => continue,
                }
            }
            // On each turn: a zygote that keeps us reading gets its answers too.
            let waits = self.flush()?;
            self.note(waits == Waits::Others);
            let count = tokio::select! {
                count = poll_fn(|cx| self.poll_fill(cx, incoming)) => count?,
                goes_on = self.goes_on(waits), if waits != Waits::Nothing => {
                    goes_on?;
                    continue;
                }
                () = self.waiting.notified() => continue,
            };
            if count == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads once; 0 at the end of the link.
    fn poll_fill(&self, cx: &mut Context<'_>, incoming: &mut Incoming) -> Poll<io::Result<usize>> {
        let Incoming {
            buffer,
            descriptors,
        } = incoming;
        let mut bytes = [0u8; CHUNK_BYTES];
        let mut arrived = Vec::new();
        let received = self
            .socket
            .poll_read(cx, |_| self.fill(&mut bytes, &mut arrived));
        descriptors.extend(arrived);
        Poll::Ready(match ready!(received) {
            Ok(count) => {
                buffer.extend(&bytes[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(error),
        })
    }

    /// Sends what had to wait, as far as it goes; what the rest waits for.
    fn flush(&self) -> Result<Waits, LinkError> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
        let mut queue = self.queue();
        while !queue.is_empty() {
            match send_front(self.socket.as_fd(), &mut queue) {
                Ok(()) => {}
                Err(error) if error.kind() == WouldBlock => return Ok(Waits::Room),
                Err(error) if is_congested(&error) => return Ok(Waits::Others),
                // What it said before it went is still to be read; that tells its end.
                Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => queue.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Waits::Nothing)
    }

    async fn goes_on(&self, waits: Waits) -> io::Result<()> {
        if waits == Waits::Room
            && let Ok(full) = Writable::of(self.socket.as_fd())
        {
            return full.ready().await;
        }
        // Or no descriptor is free to await it by.
        tokio::time::sleep(CONGESTION_PAUSE).await;
        Ok(())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Outgoing>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For what sending waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nothing,
    /// In the socket.
    Room,
    /// The user has too many descriptors in flight: others must first take theirs off their sockets.
    Others,
}

/// Sends the first frame to its end and takes it off the queue.
fn send_front(socket: BorrowedFd<'_>, queue: &mut VecDeque<Outgoing>) -> io::Result<()> {
    let Some(front) = queue.front_mut() else {
        return Ok(());
    };
    while front.sent < front.bytes.len() {
        let descriptors: Vec<_> = front.descriptors.iter().map(|fd| fd.as_fd()).collect();
        let (bytes, count) = fdpass::send(socket, &front.bytes[front.sent..], &descriptors)?;
        front.sent += bytes;
        front.descriptors.drain(..count);
    }
    queue.pop_front();
    Ok(())
}
