//! HTTP/2 by hand: what no library would send.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RESET: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    // Nothing waits for ever here.
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).unwrap();
    stream.set_write_timeout(limit).unwrap();
    stream
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A greeting. With a window of 0 no answer's message may be sent.
pub(crate) fn greeting(window: Option<u32>) -> Vec<u8> {
    let mut settings = Vec::new();
    if let Some(window) = window {
        settings.extend(4u16.to_be_bytes());
        settings.extend(window.to_be_bytes());
    }
    [PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()
}

/// A call's headers.
pub(crate) fn headers(stream: u32, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        // A literal, never indexed, not compressed; all shorter than 127 bytes.
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A part of a call's message.
pub(crate) fn data(stream: u32, payload: &[u8], last: bool) -> Vec<u8> {
    frame(DATA, if last { END_STREAM } else { 0 }, stream, payload)
}

/// Gives a call up.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &8u32.to_be_bytes())
}

/// A whole message as gRPC frames it.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    message.extend(payload);
    message
}

/// A whole call with this message.
pub(crate) fn call(stream: u32, path: &str, payload: &[u8]) -> Vec<u8> {
    let mut call = headers(stream, path);
    call.extend(data(stream, &message(payload), true));
    call
}

/// A client that makes more calls than it reads answers, and keeps to what the other side allows it:
/// that one must have given room on the connection for each byte of data.
pub(crate) struct Caller {
    pub(crate) stream: UnixStream,
    room: usize,
    read: Vec<u8>,
}

impl Caller {
    /// With a window of 0: no answer's message may be sent.
    pub(crate) fn connect(socket: &Path) -> Self {
        // What every HTTP/2 connection begins with.
        const ROOM: usize = 65_535;
        let mut stream = connect(socket);
        send(&mut stream, &greeting(Some(0)));
        let read = Vec::new();
        Self {
            stream,
            room: ROOM,
            read,
        }
    }

    pub(crate) fn call(&mut self, stream: u32, path: &str, payload: &[u8]) {
        let message = message(payload);
        while self.room < message.len() {
            self.read_frame();
        }
        self.room -= message.len();
        let data = data(stream, &message, true);
        send(&mut self.stream, &[headers(stream, path), data].concat());
    }

    fn read_frame(&mut self) {
        const HEAD: usize = 9;
        const WINDOW_UPDATE: u8 = 8;
        let length = loop {
            if let [a, b, c, ..] = *self.read {
                let length = HEAD + u32::from_be_bytes([0, a, b, c]) as usize;
                if self.read.len() >= length {
                    break length;
                }
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).unwrap();
            assert!(count > 0, "hung up, its last words: {:?}", self.read);
            self.read.extend(&bytes[..count]);
        };
        let frame: Vec<u8> = self.read.drain(..length).collect();
        let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        if frame[3] == WINDOW_UPDATE && number(5) == 0 {
            self.room += number(HEAD) as usize;
        }
    }
}

/// Waits until the other side has read all that was sent.
pub(crate) fn all_is_read(stream: &mut UnixStream) {
    const PING: u8 = 6;
    const ACKNOWLEDGED: u8 = 1;
    const MARK: &[u8] = b"all read";
    send(stream, &frame(PING, 0, 0, MARK));
    let answer = frame(PING, ACKNOWLEDGED, 0, MARK);
    let mut read: Vec<u8> = Vec::new();
    while !read.windows(answer.len()).any(|bytes| bytes == answer) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "hung up, its last words: {read:?}");
        // The answer may be cut in two.
        let over = read.len().saturating_sub(answer.len());
        read.drain(..over);
        read.extend(&bytes[..count]);
    }
}

/// Writes all of it, unless the other side hangs up before.
pub(crate) fn send(stream: &mut UnixStream, bytes: &[u8]) {
    match stream.write_all(bytes) {
        Ok(()) => {}
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
}

/// Reads until the other side hangs up.
pub(crate) fn until_hung_up(stream: &mut UnixStream) -> Vec<u8> {
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    read
}
