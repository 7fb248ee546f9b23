//! Payloads: the argument a program sends to a function's worker over the channel, and the result the
//! worker sends back. Small ones travel in their frame, large ones in a memory file the frame carries.
//! Either may name descriptors, which the frame carries too.

use crate::wire;
use mpfork_proto::frame::{self, FrameBuffer, FrameError};
use mpfork_proto::link::Payload;
use mpfork_sys::{fdpass, memory_file};
use rustix::event::PollFlags;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Payloads up to this many bytes travel in their frame.
pub const MAX_INLINE_BYTES: usize = 64 << 10;

/// The most descriptors that a payload names.
pub const MAX_DESCRIPTORS: usize = 250;

/// What came over a channel is no payload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The channel failed; of kind [`io::ErrorKind::WouldBlock`] when it is non-blocking and empty.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The frame is not one of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The channel ended within a payload.
    #[error("the channel ended within a payload")]
    Cut,
    /// The frame and its memory file disagree.
    #[error("a payload of {named} bytes came with a file of {found}")]
    Size {
        /// The length the frame names.
        named: u64,
        /// The length of the file.
        found: u64,
    },
    /// Others came with the frame than it names.
    #[error("a payload came with {found} descriptors instead of {expected}")]
    Descriptors {
        /// How many belong to the frame.
        expected: usize,
        /// How many came.
        found: usize,
    },
}

/// A payload and the descriptors that it names, by their place.
#[derive(Debug, Default)]
pub struct Parcel {
    /// The payload.
    pub bytes: Vec<u8>,
    /// The descriptors.
    pub descriptors: Vec<OwnedFd>,
}

/// A payload as it is sent: the bytes of its frame, and the memory file that goes with the first of
/// them.
fn encode(payload: &[u8], descriptors: usize) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut message = Payload {
        descriptors: u32::try_from(descriptors).map_err(io::Error::other)?,
        ..Payload::default()
    };
    let mut file = None;
    if payload.len() <= MAX_INLINE_BYTES {
        message.inline = payload.to_vec();
    } else {
        message.size = Some(payload.len() as u64);
        file = Some(memory_file::of(payload)?);
    }
    let bytes = frame::encode(&message).map_err(io::Error::other)?;
    Ok((bytes, file))
}

/// Sends a payload, waiting as long as it takes.
///
/// # Errors
/// When there is no room for a memory file, or the channel fails.
pub fn write(channel: BorrowedFd<'_>, payload: &[u8]) -> io::Result<()> {
    write_with(channel, payload, &[])
}

/// Sends a payload and the descriptors that it names, waiting as long as it takes.
///
/// # Errors
/// As [`write`], and for more than [`MAX_DESCRIPTORS`].
pub fn write_with(
    channel: BorrowedFd<'_>,
    payload: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let (bytes, file) = encode(payload, descriptors.len())?;
    let all: Vec<_> = file.iter().chain(descriptors).map(AsFd::as_fd).collect();
    wire::send_bytes(channel, &bytes, &all)
}

/// Receives a payload, waiting as long as it takes; `None` when the channel ends without one. Reads no
/// byte beyond it.
///
/// # Errors
/// When the channel fails, or what comes is no payload.
pub fn read(channel: BorrowedFd<'_>) -> Result<Option<Parcel>, PayloadError> {
    let mut reader = Reader::default();
    loop {
        match reader.step(channel) {
            Ok(Step::Payload(payload)) => return Ok(Some(payload)),
            Ok(Step::End) => return Ok(None),
            Ok(Step::Partial) => {}
            Err(PayloadError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                wire::wait(channel, PollFlags::IN)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What one read from a channel gave.
#[derive(Debug)]
pub enum Step {
    /// Not yet all.
    Partial,
    /// A whole payload.
    Payload(Parcel),
    /// The channel's end, where a payload might have begun.
    End,
}

/// Puts a payload together, read by read, from a channel that may be non-blocking.
#[derive(Debug, Default)]
pub struct Reader {
    frames: FrameBuffer,
    descriptors: Vec<OwnedFd>,
}

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

impl Reader {
    /// Reads once from the channel, and no byte beyond the payload.
    ///
    /// # Errors
    /// When the channel fails, which includes that it would block, or what comes is no payload.
    pub fn step(&mut self, channel: BorrowedFd<'_>) -> Result<Step, PayloadError> {
        let mut bytes = [0; CHUNK_BYTES];
        let wanted = self.frames.missing().min(CHUNK_BYTES);
        let count = fdpass::receive(channel, &mut bytes[..wanted], &mut self.descriptors)?;
        if count == 0 {
            return if self.frames.is_empty() {
                Ok(Step::End)
            } else {
                Err(PayloadError::Cut)
            };
        }
        self.frames.extend(&bytes[..count]);
        match self.frames.take::<Payload>()? {
            None => Ok(Step::Partial),
            Some(payload) => self.finish(payload).map(Step::Payload),
        }
    }

    fn finish(&mut self, payload: Payload) -> Result<Parcel, PayloadError> {
        let mut descriptors = std::mem::take(&mut self.descriptors);
        let found = descriptors.len();
        let named = usize::try_from(payload.descriptors).unwrap_or(usize::MAX);
        let expected = named.saturating_add(usize::from(payload.size.is_some()));
        if found != expected || named > MAX_DESCRIPTORS {
            return Err(PayloadError::Descriptors { expected, found });
        }
        let bytes = match payload.size {
            // It is there, as they have been counted.
            Some(size) => read_file(size, descriptors.remove(0).into())?,
            None => payload.inline,
        };
        Ok(Parcel { bytes, descriptors })
    }
}

fn read_file(named: u64, file: File) -> Result<Vec<u8>, PayloadError> {
    let found = file.metadata()?.len();
    if found != named {
        return Err(PayloadError::Size { named, found });
    }
    let mut payload = Vec::new();
    let size = usize::try_from(named).map_err(io::Error::other)?;
    payload.try_reserve_exact(size).map_err(io::Error::other)?;
    // The sender's position in the file is ours too: ours is the beginning.
    let from_start = FromStart { file, at: 0 };
    let read = from_start.take(named).read_to_end(&mut payload)? as u64;
    if read != named {
        return Err(PayloadError::Size { named, found: read });
    }
    Ok(payload)
}

struct FromStart {
    file: File,
    at: u64,
}

impl io::Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn payloads_of_all_sizes() {
        for size in [0, 1, MAX_INLINE_BYTES, MAX_INLINE_BYTES + 1, 5 << 20] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let payload: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let sent = payload.clone();
            let sender = std::thread::spawn(move || {
                write(ours.as_fd(), &sent).unwrap();
                (&ours).write_all(b"beyond").unwrap();
            });
            assert_eq!(read(theirs.as_fd()).unwrap().unwrap().bytes, payload);
            let mut beyond = String::new();
            (&theirs).read_to_string(&mut beyond).err();
            sender.join().unwrap();
            assert_eq!(beyond, "beyond");
            assert!(read(theirs.as_fd()).unwrap().is_none());
        }
    }

    #[test]
    fn descriptors_come_in_their_order_beside_a_payload_of_any_size() {
        for (size, count) in [(0, 1), (10, 3), (1 << 20, MAX_DESCRIPTORS)] {
            let files: Vec<OwnedFd> = (0..count)
                .map(|n| memory_file::of(&[u8::try_from(n).unwrap()]).unwrap())
                .collect();
            let (ours, theirs) = UnixStream::pair().unwrap();
            write_with(ours.as_fd(), &vec![5; size], &files).unwrap();
            let parcel = read(theirs.as_fd()).unwrap().unwrap();
            assert_eq!(
                (parcel.bytes.len(), parcel.descriptors.len()),
                (size, count)
            );
            for (n, file) in parcel.descriptors.into_iter().enumerate() {
                let read = read_file(1, file.into()).unwrap();
                assert_eq!(usize::from(read[0]), n);
            }
            let mut more = files;
            more.resize_with(MAX_DESCRIPTORS + 1, || memory_file::of(b"").unwrap());
            let refused = write_with(ours.as_fd(), b"", &more).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_nonblocking_channel_is_read_step_by_step() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut reader = Reader::default();
        let (bytes, file) = encode(b"abc", 0).unwrap();
        assert!(file.is_none());
        for byte in &bytes {
            let Err(PayloadError::Io(error)) = reader.step(theirs.as_fd()) else {
                panic!("nothing was sent");
            };
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            (&ours).write_all(&[*byte]).unwrap();
            if let Step::Payload(parcel) = reader.step(theirs.as_fd()).unwrap() {
                assert_eq!(parcel.bytes, b"abc");
            }
        }
        drop(ours);
        assert!(matches!(reader.step(theirs.as_fd()), Ok(Step::End)));
    }

    #[test]
    fn wrong_payloads_are_refused() {
        let send = |message: &Payload, files: &[BorrowedFd<'_>], cut: usize| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let bytes = frame::encode(message).unwrap();
            wire::send_bytes(ours.as_fd(), &bytes[..bytes.len() - cut], files).unwrap();
            drop(ours);
            read(theirs.as_fd()).unwrap_err()
        };
        let sized = |size| Payload {
            size: Some(size),
            ..Payload::default()
        };
        let naming = |descriptors| Payload {
            descriptors,
            ..Payload::default()
        };
        let file = memory_file::of(b"12345").unwrap();
        assert!(matches!(
            send(&sized(6), &[file.as_fd()], 0),
            PayloadError::Size { named: 6, found: 5 }
        ));
        assert!(matches!(
            send(&sized(5), &[], 0),
            PayloadError::Descriptors { .. }
        ));
        assert!(matches!(
            send(&Payload::default(), &[file.as_fd()], 0),
            PayloadError::Descriptors { .. } | PayloadError::Cut
        ));
        assert!(matches!(
            send(&sized(5), &[file.as_fd()], 1),
            PayloadError::Cut
        ));
        for wrong in [naming(1), naming(3), naming(u32::MAX)] {
            assert!(matches!(
                send(&wrong, &[file.as_fd(); 2], 0),
                PayloadError::Descriptors { found: 2, .. }
            ));
        }
        assert!(matches!(
            send(&naming(251), &[file.as_fd(); 251], 0),
            PayloadError::Descriptors { .. }
        ));
        assert!(File::from(file).write_all(b"6").is_err(), "sealed");
    }
}
