//! What a zygote prints: kept, the newest of it, and passed to the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

/// How many bytes are kept of one zygote.
const KEPT: usize = 64 << 10;

/// The newest output of one zygote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture {
    kept: Arc<Mutex<VecDeque<u8>>>,
}

impl Capture {
    /// Reads a zygote's output to its end.
    pub(crate) async fn read(self, template: String, mut output: pipe::Receiver) {
        let mut bytes = vec![0u8; 8 << 10];
        loop {
            match output.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let text = String::from_utf8_lossy(&bytes[..count]);
                    tracing::debug!(template, output = %text.trim_end().escape_debug(), "zygote output");
                    let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(&bytes[..count]);
                    let over = kept.len().saturating_sub(KEPT);
                    kept.drain(..over);
                }
            }
        }
    }

    /// The end of it, as text of at most so many bytes.
    pub(crate) fn tail(&self, most: usize) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.len().saturating_sub(most);
        let bytes: Vec<u8> = kept.iter().skip(skip).copied().collect();
        drop(kept);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}
