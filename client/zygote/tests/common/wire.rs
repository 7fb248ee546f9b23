//! Frames over sockets, from the supervisor's side.

use super::LIMIT;
use mpfork_proto::Message;
use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_sys::fdpass;
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// One end of a socket with frames.
pub struct Wire {
    pub socket: UnixStream,
    frames: FrameBuffer,
    pub descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    pub fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            frames: FrameBuffer::default(),
            descriptors: VecDeque::new(),
        }
    }

    /// The next frame; `None` at the end.
    pub fn receive<M: Message + Default>(&mut self) -> Option<M> {
        loop {
            if let Some(frame) = self.frames.take().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 65536];
            let mut descriptors = Vec::new();
            let count = match fdpass::receive(self.socket.as_fd(), &mut bytes, &mut descriptors) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                result => result.expect("nothing came in time"),
            };
            self.descriptors.extend(descriptors);
            if count == 0 {
                return None;
            }
            self.frames.extend(&bytes[..count]);
        }
    }

    pub fn send(&self, message: &impl Message, descriptors: &[BorrowedFd<'_>]) {
        self.try_send(&frame::encode(message).unwrap(), descriptors)
            .unwrap();
    }

    pub fn try_send(
        &self,
        mut bytes: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let (sent, passed) = fdpass::send(self.socket.as_fd(), bytes, descriptors)?;
            bytes = &bytes[sent..];
            descriptors = &descriptors[passed..];
        }
        Ok(())
    }
}
