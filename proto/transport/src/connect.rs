//! Making connections: a client's channel over one socket, and a server's settings.

use crate::channel::{CONNECTION_WINDOW, Channel, HEADER_LIST_BYTES, STREAM_WINDOW};
use crate::connection::Connection;
use crate::stream::FdStream;
use mpfork_sys::sockets;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use tonic::transport::Server;

/// A full backlog is waited for this long.
const BACKLOG_LIMIT: Duration = Duration::from_secs(10);
const BACKLOG_PAUSE: Duration = Duration::from_millis(2);

/// Calls of a connection that HTTP/2 lets a client have open at a time.
///
/// Each running worker may have one, and an acknowledgement must never wait for one to end: a server
/// is to bound the calls it serves to half of this, and to refuse the rest at once.
pub const CONCURRENT_STREAMS: u32 = 1 << 16;

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The socket can't be reached.
    #[error("can't connect to {}: {error}", path.display())]
    Socket {
        /// The path tried.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The socket can't be awaited.
    #[error("can't await the socket: {0}")]
    Reactor(#[source] io::Error),
    /// It is served by a user who may not have what a client gives away.
    #[error("{} is served by user {uid}: not used", path.display())]
    Foreign {
        /// The path tried.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// HTTP/2 could not be started on it.
    #[error("can't speak HTTP/2 on the socket")]
    Http(#[from] hyper::Error),
}

/// Connects to the daemon's socket, however long its path.
///
/// # Errors
/// When nobody listens there, access is denied, or whoever listens is neither this user nor root:
/// descriptors and environments are not for them.
pub async fn connect(path: &Path) -> Result<(Channel, Connection), ConnectError> {
    let failed = |error| ConnectError::Socket {
        path: path.to_owned(),
        error,
    };
    let socket = socket(path).await.map_err(failed)?;
    let uid = socket.peer_cred().map_err(failed)?.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(ConnectError::Foreign {
            path: path.to_owned(),
            uid,
        });
    }
    channel_over(socket).await
}

/// A client's channel over a socket that is connected. The channel never reconnects.
///
/// # Errors
/// When the socket is dead.
pub async fn channel_over(socket: UnixStream) -> Result<(Channel, Connection), ConnectError> {
    let stream = FdStream::client(socket).map_err(ConnectError::Reactor)?;
    let connection = stream.connection();
    let channel = Channel::over(stream).await?;
    Ok((channel, connection))
}

/// A server with the settings that go with [`connect`].
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADER_LIST_BYTES)
        .max_concurrent_streams(CONCURRENT_STREAMS)
}

async fn socket(path: &Path) -> io::Result<UnixStream> {
    let started = Instant::now();
    loop {
        match attempt(path).await {
            // The backlog is full, and a socket that does not block says so instead of waiting.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && started.elapsed() < BACKLOG_LIMIT =>
            {
                sleep(BACKLOG_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn attempt(path: &Path) -> io::Result<UnixStream> {
    use std::os::unix::ffi::OsStrExt as _;

    if path.as_os_str().as_bytes().len() <= sockets::LONGEST_ADDRESS {
        return UnixStream::connect(path).await;
    }
    let (_held, short) = sockets::shorter(path)?;
    UnixStream::connect(short).await
}
