//! A connection of which the other side sends anything: bytes, descriptors, or the end.

use mpfork_proto::v1::{Descriptor, HandshakeRequest};
use mpfork_sys::fdpass;
use mpfork_transport::{Connection, FdStream, answer_handshake};
use rustix::fs::fstat;
use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// How many descriptors the other side may have outstanding.
const CREDIT: u32 = 8;

/// Steps of the other side and of ours, two bytes each. Every descriptor that is claimed is the one that
/// was sent under its number, none can be claimed twice, and no more than the credit wait.
///
/// # Panics
/// When that is not so.
pub fn descriptor_stream(data: &[u8]) {
    super::block_on(async {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let stream = FdStream::server(UnixStream::from_std(ours).unwrap()).unwrap();
        let mut peer = Peer {
            connection: stream.connection(),
            socket: theirs,
            stream,
            sent: 0,
            received: 0,
            claimed: HashMap::new(),
        };
        for step in data.chunks_exact(2).take(200) {
            if !peer.step(step[0], usize::from(step[1])).await {
                break;
            }
        }
    });
}

struct Peer {
    connection: Connection,
    socket: StdUnixStream,
    stream: FdStream,
    /// How many descriptors the other side has sent; each file is as long as its number.
    sent: u64,
    /// How many of them our side has taken off the socket.
    received: u64,
    claimed: HashMap<u64, u64>,
}

impl Peer {
    /// False when the connection has ended.
    async fn step(&mut self, what: u8, count: usize) -> bool {
        match what % 6 {
            0 => self.send(1 + count, 0),
            1 => self.send(1, 1 + count % 5),
            2 => self.send(1 + count, count % 20),
            3 => return self.read(count).await,
            4 => self.claim(u64::try_from(count % 24).unwrap_or(0)),
            _ => self.shake_hands(count),
        }
        true
    }

    /// The other side sends.
    fn send(&mut self, bytes: usize, descriptors: usize) {
        let files: Vec<OwnedFd> = (0..descriptors as u64)
            .map(|more| numbered(self.sent + more))
            .collect();
        let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        // A full socket, or one hung up on, takes none.
        if let Ok((_, taken)) = fdpass::send(self.socket.as_fd(), &vec![0; bytes], &files) {
            self.sent += taken as u64;
        }
    }

    /// Our side reads what is there.
    async fn read(&mut self, count: usize) -> bool {
        let mut bytes = vec![0; count + 1];
        // The runtime sees what has arrived.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            read = self.stream.read(&mut bytes) => {
                self.received = self.sent;
                return read.is_ok_and(|read| read > 0);
            }
            () = std::future::ready(()) => {}
        }
        true
    }

    /// Our side claims.
    fn claim(&mut self, number: u64) {
        let connection = self.connection.id();
        let claimed = self.connection.claim(&Descriptor { connection, number });
        let foreign = Descriptor {
            connection: connection ^ 1,
            number,
        };
        assert!(self.connection.claim(&foreign).is_err());
        if let Ok(file) = claimed {
            assert!(number < self.received, "it was not sent");
            let is = u64::try_from(fstat(&file).unwrap().st_size).unwrap();
            assert_eq!(is, number, "another one");
            assert_eq!(self.claimed.insert(number, is), None, "claimed twice");
        }
    }

    /// Our side answers a handshake.
    fn shake_hands(&mut self, credit: usize) {
        let request = HandshakeRequest {
            version_min: 1,
            version_max: 1,
            client: String::new(),
            descriptor_credit: u32::try_from(credit).unwrap_or(0) % 3,
        };
        if let Ok(answer) = answer_handshake(&self.connection, &request, 1, "", CREDIT) {
            assert!(answer.descriptor_credit == 0 || answer.descriptor_credit == CREDIT);
            let carries = answer.descriptor_credit > 0;
            assert_eq!(self.connection.carries_descriptors(), carries);
        }
    }
}

fn numbered(number: u64) -> OwnedFd {
    let file = tempfile::tempfile().unwrap();
    file.set_len(number).unwrap();
    file.into()
}
