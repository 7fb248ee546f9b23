//! Descriptors in tokio's reactor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of a reactor, which others may hold as well.
type Registered = AsyncFd<Arc<OwnedFd>>;

fn register(descriptor: Arc<OwnedFd>, interest: Interest) -> io::Result<Registered> {
    // SAFETY: an `OwnedFd` keeps its descriptor open, and always the same, until it is dropped: when nobody
    // holds it any more, and `AsyncFd` lets go of it after it has deregistered it.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}

/// A descriptor that can be awaited until it is readable, such as a pidfd.
///
/// It is not watched for being writable. A socket that is would be told of whenever the other side
/// has read from it, which costs a wake-up for each message; see [`Writable`].
#[derive(Debug)]
pub struct Readable(Registered);

impl Readable {
    /// Registers a descriptor with the runtime of the caller, until it is dropped.
    ///
    /// # Errors
    /// When the system can't poll it or has no room to.
    pub fn new(descriptor: impl Into<Arc<OwnedFd>>) -> io::Result<Self> {
        register(descriptor.into(), Interest::READABLE).map(Self)
    }

    /// Waits until it is readable; for a pidfd that is the end of the process.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn ready(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        // A pidfd stays readable: the readiness need not be cleared to be seen again.
        guard.retain_ready();
        Ok(())
    }

    /// Reads from it once it is readable. What `read` calls `WouldBlock` is awaited again.
    ///
    /// # Errors
    /// Those of `read`, and when the runtime is shutting down.
    pub fn poll_read<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            if let Ok(result) = guard.try_io(|socket| read(socket.as_fd())) {
                return Poll::Ready(result);
            }
        }
    }
}

impl AsFd for Readable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// A socket that can be awaited until it takes more bytes. Made when it took no more, and dropped when
/// all is sent.
#[derive(Debug)]
pub struct Writable(Registered);

impl Writable {
    /// Registers a socket, by a descriptor of its own, with the runtime of the caller. A socket that
    /// takes bytes already is ready at once.
    ///
    /// # Errors
    /// When there is no free descriptor, or the system can't poll it or has no room to.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        register(socket.try_clone_to_owned()?.into(), Interest::WRITABLE).map(Self)
    }

    /// Writes to it once it takes bytes. What `write` calls `WouldBlock` is awaited again.
    ///
    /// # Errors
    /// Those of `write`, and when the runtime is shutting down.
    pub fn poll_write<T>(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|socket| write(socket.as_fd())) {
                return Poll::Ready(result);
            }
        }
    }

    /// Waits until it takes bytes.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.writable().await?.retain_ready();
        Ok(())
    }
}
