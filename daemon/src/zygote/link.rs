//! The supervisor's end of a link: frames with descriptors, both ways, without blocking.

use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_proto::link::{SupervisorFrame, ZygoteFrame, supervisor_frame, zygote_frame};
use mpfork_sys::fdpass;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// How long to wait while the user has too many descriptors in flight.
const CONGESTION_PAUSE: Duration = Duration::from_millis(2);

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

/// A frame on its way out.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: VecDeque<OwnedFd>,
}

/// Both directions of a link. One task reads; anyone may send.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UnixStream,
    outgoing: Mutex<VecDeque<Outgoing>>,
    /// Tells the reading task that something waits to be sent.
    waiting: Notify,
}

/// What one task has read of a link.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    buffer: FrameBuffer,
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            outgoing: Mutex::default(),
            waiting: Notify::new(),
        }
    }

    /// Sends a frame now or, when the socket is full, as soon as it takes it.
    pub(crate) fn send(
        &self,
        frame: supervisor_frame::Frame,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), LinkError> {
        let frame = SupervisorFrame {
            // A frame carries a handful.
            descriptors: u32::try_from(descriptors.len()).unwrap_or(u32::MAX),
            frame: Some(frame),
        };
        let outgoing = Outgoing {
            bytes: frame::encode(&frame)?,
            sent: 0,
            descriptors: descriptors.into(),
        };
        let mut queue = self.queue();
        queue.push_back(outgoing);
        if queue.len() == 1 {
            match send_front(&self.socket, &mut queue) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_congested(&error) => {
                }
                Err(error) => {
                    queue.pop_back();
                    return Err(error.into());
                }
            }
        }
        drop(queue);
        self.waiting.notify_one();
        Ok(())
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
            let interest = if self.queue().is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = tokio::select! {
                ready = self.socket.ready(interest) => ready?,
                () = self.waiting.notified() => continue,
            };
            if ready.is_writable() && self.flush()? == Flushed::Congested {
                // Others must first take their descriptors off their sockets. Reading goes on.
                let pause = tokio::time::timeout(CONGESTION_PAUSE, self.socket.readable());
                if pause.await.is_err() {
                    continue;
                }
            }
            if ready.is_readable() && self.fill(incoming)? == Some(0) {
                return Ok(None);
            }
        }
    }

    /// Reads once; the number of bytes, or `None` when there are none now.
    fn fill(&self, incoming: &mut Incoming) -> Result<Option<usize>, LinkError> {
        let mut bytes = [0u8; 16 << 10];
        let mut arrived = Vec::new();
        let result = self.socket.try_io(Interest::READABLE, || {
            fdpass::receive(self.socket.as_fd(), &mut bytes, &mut arrived)
        });
        incoming.descriptors.extend(arrived);
        match result {
            Ok(count) => {
                incoming.buffer.extend(&bytes[..count]);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&self) -> Result<Flushed, LinkError> {
        let mut queue = self.queue();
        while !queue.is_empty() {
            let result = self
                .socket
                .try_io(Interest::WRITABLE, || send_front(&self.socket, &mut queue));
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_congested(&error) => return Ok(Flushed::Congested),
                Err(error) => return Err(error.into()),
            }
        }
        drop(queue);
        Ok(Flushed::AsFarAsItGoes)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Outgoing>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far sending came.
#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    AsFarAsItGoes,
    /// The user has too many descriptors in flight.
    Congested,
}

fn is_congested(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ETOOMANYREFS)
}

/// Sends the first frame to its end and takes it off the queue.
fn send_front(socket: &UnixStream, queue: &mut VecDeque<Outgoing>) -> io::Result<()> {
    let Some(front) = queue.front_mut() else {
        return Ok(());
    };
    while front.sent < front.bytes.len() {
        let descriptors: Vec<_> = front.descriptors.iter().map(|fd| fd.as_fd()).collect();
        let (bytes, count) =
            fdpass::send(socket.as_fd(), &front.bytes[front.sent..], &descriptors)?;
        front.sent += bytes;
        front.descriptors.drain(..count);
    }
    queue.pop_front();
    Ok(())
}
