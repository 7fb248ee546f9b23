//! Frames of the link and of workers' sockets: a 4-byte big-endian length and a message.

use prost::Message;

/// The largest frame, in bytes without its length. An argument list and environment the kernel
/// accepts fit.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// The length of a frame's length.
pub const HEADER_BYTES: usize = 4;

/// A frame that can't be one of ours.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is over [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// The message does not decode.
    #[error("a frame does not decode: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Encodes a message as a frame.
///
/// # Errors
/// [`FrameError::TooLong`] when the message is over [`MAX_FRAME_BYTES`].
pub fn encode(message: &impl Message) -> Result<Vec<u8>, FrameError> {
    let length = message.encoded_len();
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(length));
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    let header = u32::try_from(length).map_err(|_| FrameError::TooLong(length))?;
    frame.extend_from_slice(&header.to_be_bytes());
    message.encode_raw(&mut frame);
    Ok(frame)
}

/// Puts frames together from a stream's bytes, however they were cut.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    /// Adds bytes read from the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        // What was taken makes room, at the latest when it is most of the buffer.
        if self.start >= self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes can't be a frame; the stream is then of no more use.
    pub fn take<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        let pending = &self.bytes[self.start..];
        let Some((header, rest)) = pending.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = M::decode(body)?;
        self.start += HEADER_BYTES + length;
        Ok(Some(message))
    }

    /// How many bytes are missing to make the next frame whole; at least 1 when there is none.
    #[must_use]
    pub fn missing(&self) -> usize {
        let pending = &self.bytes[self.start..];
        match pending.split_first_chunk::<HEADER_BYTES>() {
            None => HEADER_BYTES - pending.len(),
            Some((header, rest)) => {
                let length = u32::from_be_bytes(*header) as usize;
                length.saturating_sub(rest.len())
            }
        }
    }

    /// True when no bytes of an unfinished frame are waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Fork, SupervisorFrame, supervisor_frame::Frame};
    use proptest::prelude::*;

    fn fork(worker: u64) -> SupervisorFrame {
        SupervisorFrame {
            descriptors: 1,
            frame: Some(Frame::Fork(Fork {
                worker,
                spare: worker.is_multiple_of(2),
                ..Fork::default()
            })),
        }
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(workers in prop::collection::vec(any::<u64>(), 0..20), cut in 1usize..40) {
            let mut stream = Vec::new();
            for worker in &workers {
                stream.extend(encode(&fork(*worker)).unwrap());
            }
            let mut buffer = FrameBuffer::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend(piece);
                while let Some(frame) = buffer.take::<SupervisorFrame>().unwrap() {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, workers.into_iter().map(fork).collect::<Vec<_>>());
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = FrameBuffer::default();
            buffer.extend(&bytes);
            while let Ok(Some(_)) = buffer.take::<SupervisorFrame>() {}
        }
    }

    #[test]
    fn an_oversized_length_is_refused_before_it_is_buffered() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&u32::MAX.to_be_bytes());
        assert!(matches!(
            buffer.take::<SupervisorFrame>(),
            Err(FrameError::TooLong(_))
        ));
    }
}
