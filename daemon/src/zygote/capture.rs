//! What a zygote prints: kept, the newest of it, and passed to the log.

use crate::kept::Ring;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::unix::pipe;

/// How many bytes are kept of one zygote.
const KEPT: usize = 64 << 10;
/// How much is read at once.
const CHUNK: usize = 8 << 10;

/// The newest output of one zygote.
#[derive(Debug, Clone)]
pub(crate) struct Capture(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    template: String,
    output: pipe::Receiver,
    kept: Mutex<VecDeque<u8>>,
    /// What all zygotes of the template print, for `ReadLogs`.
    ring: Arc<Ring>,
}

impl Capture {
    /// Takes the reading end of the pipe that a zygote prints to.
    pub(crate) fn new(template: String, output: OwnedFd, ring: Arc<Ring>) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            template,
            output: pipe::Receiver::from_owned_fd(output)?,
            kept: Mutex::default(),
            ring,
        })))
    }

    /// Reads the output to its end.
    pub(crate) async fn read(self) {
        let mut bytes = vec![0u8; CHUNK];
        loop {
            if self.0.output.readable().await.is_err() {
                return;
            }
            match self.0.output.try_read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => self.keep(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            // One that never stops printing must not keep everybody else waiting.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let template = &self.0.template;
        tracing::debug!(template, output = %text.trim_end().escape_debug(), "zygote output");
        self.0.ring.push(bytes);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }

    /// The end of all that was printed so far, as text of at most so many bytes.
    pub(crate) fn tail(&self, most: usize) -> String {
        // What explains a failure may be in the pipe still. It is not waited for, and bounded, as the
        // zygote may go on printing.
        let mut bytes = [0u8; CHUNK];
        for _ in 0..KEPT / CHUNK {
            match rustix::io::read(&self.0.output, &mut bytes) {
                Ok(count) if count > 0 => self.keep(&bytes[..count]),
                _ => break,
            }
        }
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.len().saturating_sub(most);
        let bytes: Vec<u8> = kept.iter().skip(skip).copied().collect();
        drop(kept);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}
