//! What goes over a worker's two pipes. To the worker: a frame with its assignment and, once it has said
//! that it begins, the encoded argument of its function. From it: reports and a value, each behind a byte that tells which it is.

use mpfork_proto::frame::{self, FrameBuffer};
use mpfork_proto::link::{Assignment, WorkerReport};
use std::io::{self, Read, Write};

/// The variable [`WORKER_ENV`](mpfork_proto::link::WORKER_ENV) of a worker whose pipes have these
/// numbers.
#[must_use]
pub fn variable(assignment: usize, reports: usize) -> String {
    format!("{assignment}:{reports}")
}

/// Sends an assignment. It fits what a pipe takes without a reader.
///
/// # Errors
/// When it is too long, or the worker has ended.
pub fn send_assignment(to: &mut impl Write, assignment: &Assignment) -> io::Result<()> {
    to.write_all(&frame::encode(assignment).map_err(io::Error::other)?)
}

/// Sends the argument of a worker's function.
///
/// # Errors
/// When the worker has ended.
pub fn send_argument(to: &mut impl Write, argument: &[u8]) -> io::Result<()> {
    send_bytes(to, argument)
}

/// Reads the argument of a function.
///
/// # Errors
/// When it is cut off.
pub fn read_argument(from: &mut impl Read) -> io::Result<Vec<u8>> {
    read_bytes(from)
}

/// Reads an assignment.
///
/// # Errors
/// When it is cut off or malformed.
pub fn read_assignment(from: &mut impl Read) -> io::Result<Assignment> {
    let malformed = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut frames = FrameBuffer::default();
    loop {
        if let Some(message) = frames.take().map_err(malformed)? {
            return Ok(message);
        }
        let mut bytes = vec![0; frames.missing()];
        from.read_exact(&mut bytes)?;
        frames.extend(&bytes);
    }
}

fn send_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_be_bytes())?;
    to.write_all(bytes)
}

fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    // What is announced is believed as it comes, not before.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

const REPORT: u8 = 0;
const VALUE: u8 = 1;

/// What a worker tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// How it fares.
    Report(WorkerReport),
    /// Its encoded result.
    Value(Vec<u8>),
}

/// Tells it.
///
/// # Errors
/// When nobody reads any more.
pub fn tell(to: &mut impl Write, told: &Told) -> io::Result<()> {
    match told {
        Told::Report(report) => {
            to.write_all(&[REPORT])?;
            to.write_all(&frame::encode(report).map_err(io::Error::other)?)
        }
        Told::Value(value) => {
            to.write_all(&[VALUE])?;
            send_bytes(to, value)
        }
    }
}

/// Puts together what a worker tells, however it was cut.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// Adds bytes read from the pipe.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next that is whole.
    ///
    /// # Errors
    /// When the bytes can't be such; the pipe is then of no more use.
    pub fn take(&mut self) -> io::Result<Option<Told>> {
        let malformed =
            |error| io::Error::new(io::ErrorKind::InvalidData, format!("a report: {error}"));
        let Some((kind, rest)) = self.bytes.split_first() else {
            return Ok(None);
        };
        let (told, taken) = match *kind {
            REPORT => {
                let Some((header, rest)) = rest.split_first_chunk::<{ frame::HEADER_BYTES }>()
                else {
                    return Ok(None);
                };
                let length = u32::from_be_bytes(*header) as usize;
                if length > frame::MAX_FRAME_BYTES {
                    return Err(malformed(format!("{length} bytes")));
                }
                let Some(body) = rest.get(..length) else {
                    return Ok(None);
                };
                let report = mpfork_proto::Message::decode(body)
                    .map_err(|error| malformed(error.to_string()))?;
                (Told::Report(report), frame::HEADER_BYTES + length)
            }
            VALUE => {
                let Some((header, rest)) = rest.split_first_chunk::<8>() else {
                    return Ok(None);
                };
                let length = usize::try_from(u64::from_be_bytes(*header))
                    .map_err(|error| malformed(error.to_string()))?;
                let Some(value) = rest.get(..length) else {
                    return Ok(None);
                };
                (Told::Value(value.to_vec()), 8 + length)
            }
            other => return Err(malformed(format!("of kind {other}"))),
        };
        self.bytes.drain(..=taken);
        Ok(Some(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_and_reports_survive_any_cut() {
        let assignment = Assignment {
            name: "n".to_owned(),
            ..Assignment::default()
        };
        let mut pipe = Vec::new();
        send_assignment(&mut pipe, &assignment).unwrap();
        assert!(read_assignment(&mut &pipe[..pipe.len() - 1]).is_err());
        send_argument(&mut pipe, b"argument").unwrap();
        let mut rest = pipe.as_slice();
        assert_eq!(read_assignment(&mut rest).unwrap(), assignment);
        assert!(read_argument(&mut &rest[..rest.len() - 1]).is_err());
        assert_eq!(read_argument(&mut rest).unwrap(), b"argument");

        let all = [
            Told::Value(vec![7; 1000]),
            Told::Report(WorkerReport::default()),
        ];
        let mut pipe = Vec::new();
        for told in &all {
            tell(&mut pipe, told).unwrap();
        }
        for cut in [1, 7, 4096] {
            let mut inbox = Inbox::default();
            let mut seen = Vec::new();
            for bytes in pipe.chunks(cut) {
                inbox.extend(bytes);
                while let Some(told) = inbox.take().unwrap() {
                    seen.push(told);
                }
            }
            assert_eq!(seen, all);
        }
        let mut inbox = Inbox::default();
        inbox.extend(&[9]);
        assert!(inbox.take().is_err());
    }
}
