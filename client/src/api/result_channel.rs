//! The caller's end of a function's channel, over which its result comes.

use crate::call;
use crate::error::Error;
use crate::standard;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The caller's end of the channel of a [`Task::Function`](super::Task::Function).
#[derive(Debug)]
pub struct ResultChannel(UnixStream);

impl ResultChannel {
    /// A channel: the caller's end, and the worker's for the task.
    ///
    /// # Errors
    /// When there are no free descriptors.
    pub fn new() -> Result<(Self, Arc<OwnedFd>), Error> {
        let _held = standard::hold();
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| Error::system("making a channel for a worker", error))?;
        Ok((Self(ours), Arc::new(theirs.into())))
    }

    /// The result, in MessagePack, of a worker that has ended; `None` when it left none. Never waits.
    ///
    /// # Errors
    /// When what came is no result.
    pub fn result(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(call::result(&self.0)?.map(|parcel| parcel.bytes))
    }
}
