//! Frames with descriptors over Unix stream sockets, blocking.

use mpfork_proto::Message;
use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_sys::fdpass::{self, CONGESTION_LIMIT, CONGESTION_PAUSE};
use rustix::event::{PollFd, PollFlags};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

/// A socket gave something that can't be one of our frames, or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ends within a frame")]
    Cut,
    #[error("a frame names {named} descriptors, and {arrived} came with it")]
    Descriptors { named: usize, arrived: usize },
}

/// How much is read at once on the stack. Small: each page of that is one that a fresh worker must copy, and
/// its zygote after each fork.
const CHUNK_BYTES: usize = 2 << 10;
/// How much of a frame that is larger is read at once.
const LARGE_CHUNK_BYTES: usize = 64 << 10;

/// The receiving end of a socket.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    frames: FrameBuffer,
    descriptors: Vec<OwnedFd>,
}

impl Inbox {
    /// Reads once; false at the end of the stream. Not a part of who calls it, whose stack would be larger by
    /// what is read.
    #[inline(never)]
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool, WireError> {
        match self.frames.missing() {
            0..=CHUNK_BYTES => self.read(socket, &mut [0; CHUNK_BYTES]),
            missing => self.read(socket, &mut vec![0; missing.min(LARGE_CHUNK_BYTES)]),
        }
    }

    fn read(&mut self, socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<bool, WireError> {
        let count = fdpass::receive(socket, bytes, &mut self.descriptors)?;
        self.frames.extend(&bytes[..count]);
        if count == 0 && !self.frames.is_empty() {
            return Err(WireError::Cut);
        }
        Ok(count > 0)
    }

    /// Takes the next whole frame.
    pub(crate) fn take<M: Message + Default>(&mut self) -> Result<Option<M>, WireError> {
        Ok(self.frames.take()?)
    }

    /// Whether no bytes wait behind the frame taken last.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The numbers of the descriptors that have come and nobody has taken.
    pub(crate) fn own(&self, each: &mut dyn FnMut(RawFd)) {
        for descriptor in &self.descriptors {
            each(descriptor.as_raw_fd());
        }
    }

    /// Takes the descriptors of the frame taken last.
    pub(crate) fn claim(&mut self, count: u32) -> Result<VecDeque<OwnedFd>, WireError> {
        let named = count as usize;
        if self.descriptors.len() < named {
            return Err(WireError::Descriptors {
                named,
                arrived: self.descriptors.len(),
            });
        }
        Ok(self.descriptors.drain(..named).collect())
    }

    /// Waits for the next frame; `None` at the end of the stream.
    pub(crate) fn receive<M: Message + Default>(
        &mut self,
        socket: BorrowedFd<'_>,
    ) -> Result<Option<M>, WireError> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if !self.fill(socket)? {
                return Ok(None);
            }
        }
    }
}

/// Sends a frame.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &impl Message,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), WireError> {
    send_bytes(socket, &frame::encode(message)?, descriptors)?;
    Ok(())
}

/// Sends all bytes, the descriptors with the first.
pub(crate) fn send_bytes(
    socket: BorrowedFd<'_>,
    mut bytes: &[u8],
    mut descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match send_some(socket, bytes, descriptors) {
            Ok(sent) => {
                bytes = &bytes[sent..];
                descriptors = &[];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(socket, PollFlags::OUT)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends some bytes, the descriptors, which fit one message, with the first.
pub(crate) fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut since = None;
    loop {
        match fdpass::send(socket, bytes, descriptors) {
            Err(error)
                if fdpass::is_congested(&error)
                    && since.get_or_insert_with(Instant::now).elapsed() < CONGESTION_LIMIT =>
            {
                std::thread::sleep(CONGESTION_PAUSE);
            }
            sent => return sent.map(|(sent, _)| sent),
        }
    }
}

/// Waits until a socket, which its maker may have made non-blocking, can be read or written.
pub(crate) fn wait(socket: BorrowedFd<'_>, until: PollFlags) -> io::Result<()> {
    let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), until)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
    Ok(())
}
