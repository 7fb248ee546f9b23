//! Output that is read as it comes, so that the worker never waits.

use super::files::Taken;
use crate::kept::Ring;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::unix::pipe;

/// How much is read at once. On the stack, and not while waiting: thousands may run.
const AT_ONCE: usize = 16 << 10;

/// The reading end of what a worker writes, and what is kept of it.
#[derive(Debug)]
pub(super) struct Kept {
    /// Until the worker has ended.
    pipe: Mutex<Option<(Arc<pipe::Receiver>, Taken)>>,
    ring: Arc<Ring>,
}

impl Kept {
    pub(super) fn new(pipe: Arc<pipe::Receiver>, ring: Ring, taken: Taken) -> Self {
        Self {
            pipe: Mutex::new(Some((pipe, taken))),
            ring: Arc::new(ring),
        }
    }

    pub(super) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring)
    }

    /// Reads from now on, until the worker has ended or everybody has closed it.
    pub(super) fn begin(&self) {
        let ours = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = ours.as_ref().map(|(pipe, _)| Arc::clone(pipe));
        drop(ours);
        let Some(pipe) = pipe else {
            return;
        };
        let ring = Arc::clone(&self.ring);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ring.closed() => return,
                    ready = pipe.readable() => if ready.is_err() || !read(&pipe, &ring) {
                        return;
                    },
                }
                // One that never stops writing must not keep everybody else waiting.
                tokio::task::coop::consume_budget().await;
            }
        });
    }

    /// Everything the worker wrote is in the pipe by now. What somebody else goes on writing is not
    /// the worker's.
    pub(super) fn finish(&self) {
        let mut ours = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = ours.take();
        drop(ours);
        if let Some((pipe, _taken)) = pipe {
            let mut left = super::waiting(&pipe);
            let mut bytes = [0; AT_ONCE];
            while left > 0 {
                let wanted = left.min(AT_ONCE);
                match rustix::io::read(&*pipe, &mut bytes[..wanted]) {
                    Ok(count) if count > 0 => {
                        self.ring.push(&bytes[..count]);
                        left -= count;
                    }
                    _ => break,
                }
            }
        }
        self.ring.close();
    }
}

/// Reads once; false at the end.
fn read(pipe: &pipe::Receiver, ring: &Ring) -> bool {
    let mut bytes = [0; AT_ONCE];
    match pipe.try_read(&mut bytes) {
        Ok(0) => false,
        Ok(count) => {
            ring.push(&bytes[..count]);
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
