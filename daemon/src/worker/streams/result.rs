//! The result of a function whose caller has no channel of its own: taken from the worker's channel
//! once it has ended, and read in parts.

use mpfork_proto::frame::FrameBuffer;
use mpfork_proto::link::Payload;
use mpfork_sys::{fdpass, memory_file};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;

/// How much is read from the channel at once.
const AT_ONCE: usize = 64 << 10;

/// mpforkd's end of the channel.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

/// A function's result.
#[derive(Debug)]
pub(crate) enum Outcome {
    Inline(Vec<u8>),
    /// In a memory file of this size.
    File(File, u64),
}

impl Channel {
    /// The end of a socket that does not block.
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// What a worker that has ended left. What is no result, or only a part of one, is none.
    pub(super) fn outcome(self) -> Option<Outcome> {
        let mut frames = FrameBuffer::default();
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        let mut bytes = vec![0; AT_ONCE];
        loop {
            if let Some(payload) = frames.take::<Payload>().ok()? {
                return match payload.size {
                    None => Some(Outcome::Inline(payload.inline)),
                    // Before those that the result names, which can't be had without a channel.
                    Some(size) => file(descriptors.into_iter().next()?.into(), size),
                };
            }
            let wanted = frames.missing().min(AT_ONCE);
            match fdpass::receive(self.0.as_fd(), &mut bytes[..wanted], &mut descriptors) {
                Ok(count) if count > 0 => frames.extend(&bytes[..count]),
                // Its end, or a process that the worker left holds it open and nothing is there.
                _ => return None,
            }
        }
    }
}

/// Only what can neither change nor make a reader wait: a sealed memory file, where there are such.
fn file(file: File, size: u64) -> Option<Outcome> {
    let whole = file.metadata().ok()?.len() == size;
    (whole && memory_file::is_fixed(file.as_fd())).then_some(Outcome::File(file, size))
}

impl Outcome {
    /// A part of it, from a place on; empty at its end.
    pub(crate) fn part(&self, from: u64, most: usize) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Inline(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let rest = bytes.get(from..).unwrap_or_default();
                Ok(rest[..rest.len().min(most)].to_vec())
            }
            Self::File(file, size) => {
                let left = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX);
                let mut part = vec![0; left.min(most)];
                file.read_exact_at(&mut part, from)?;
                Ok(part)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_zygote::payload;
    use std::io::Write as _;

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Channel::new(ours), theirs)
    }

    fn whole(outcome: &Outcome) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let part = outcome.part(whole.len() as u64, 1000).unwrap();
            if part.is_empty() {
                return whole;
            }
            whole.extend(part);
        }
    }

    #[test]
    fn small_and_large_results_come_whole() {
        for size in [0, 1, 999, 1000, 1001, 64 << 10, (64 << 10) + 1, 3 << 20] {
            let sent: Vec<u8> = (0..=255u8).cycle().take(size).collect();
            let (ours, theirs) = pair();
            payload::write(theirs.as_fd(), &sent).unwrap();
            let outcome = ours.outcome().unwrap();
            assert!(whole(&outcome) == sent, "{size}");
        }
    }

    #[test]
    fn what_is_no_result_is_none() {
        let (ours, theirs) = pair();
        assert!(ours.outcome().is_none());
        drop(theirs);
        let (ours, mut theirs) = pair();
        theirs.write_all(&[0, 0, 0, 200, 1, 2]).unwrap();
        drop(theirs);
        assert!(ours.outcome().is_none());
        // A file that another process could change, or that makes a reader wait.
        let message = Payload {
            size: Some(3),
            ..Payload::default()
        };
        let bytes = mpfork_proto::frame::encode(&message).unwrap();
        let mut plain = tempfile::tempfile().unwrap();
        plain.write_all(b"abc").unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        for wrong in [plain.as_fd(), reader.as_fd()] {
            let (ours, theirs) = pair();
            fdpass::send(theirs.as_fd(), &bytes, &[wrong]).unwrap();
            assert!(ours.outcome().is_none());
        }
    }
}
