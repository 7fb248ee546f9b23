//! Finding the daemon, and the connection to it.

use crate::error::{Attempt, Error, NoServer};
use crate::standard;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_transport::Channel;
use mpfork_transport::search::{self, Candidate};
use mpfork_transport::{
    ConnectError, Connection, DEFAULT_CREDIT, Handshake, Reservation, SendError, client_handshake,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::{Code, Status};

/// One connection to a daemon. Clones use the same; workers started on it are owned by it, and the
/// connection ends when the last clone and everything made with it is dropped.
///
/// It belongs to the tokio runtime it was made in.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) channel: Channel,
    pub(crate) connection: Connection,
    handshake: Handshake,
    socket: PathBuf,
}

/// How long a daemon may take to greet: a stopped one accepts, and says nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

fn no_answer() -> String {
    format!(
        "it did not answer within {}: is it stopped?",
        humantime::format_duration(ANSWER_LIMIT)
    )
}

impl Client {
    /// Connects to the daemon at this socket, or to the first one found where a daemon may be; see
    /// [`mpfork_transport::search`].
    ///
    /// # Errors
    /// [`Error::NoServer`] when there is none; what the handshake says; [`Error::Unsupported`] outside of
    /// a tokio runtime that has I/O and time enabled.
    pub async fn connect(socket: Option<&Path>) -> Result<Self, Error> {
        crate::session::current_runtime()?;
        let _held = standard::hold();
        let mut tried = Vec::new();
        for place in search::candidates(socket) {
            let attempt = tokio::time::timeout(ANSWER_LIMIT, Self::attempt(&place)).await;
            match attempt.unwrap_or_else(|_| Err(Outcome::Denied(no_answer()))) {
                Ok(client) => return Ok(client),
                Err(Outcome::Absent(why)) => tried.push(Attempt {
                    place,
                    why,
                    absent: true,
                }),
                Err(Outcome::Denied(why)) => tried.push(Attempt {
                    place,
                    why,
                    absent: false,
                }),
                Err(Outcome::Failed(error)) => return Err(error),
            }
        }
        Err(NoServer {
            tried,
            demand: None,
        }
        .into())
    }

    async fn attempt(place: &Candidate) -> Result<Self, Outcome> {
        match place.check() {
            Ok(()) => {}
            Err(search::Unsafe::Unreadable { message, kind, .. }) => {
                return Err(match kind {
                    ErrorKind::NotFound | ErrorKind::NotADirectory => Outcome::Absent(message),
                    _ => Outcome::Denied(message),
                });
            }
            Err(error) => return Err(Outcome::Denied(error.to_string())),
        }
        let (channel, connection) = match mpfork_transport::connect(&place.path).await {
            Ok(connected) => connected,
            Err(ConnectError::Socket { error, .. }) => {
                return Err(match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                        Outcome::Absent(error.to_string())
                    }
                    _ => Outcome::Denied(error.to_string()),
                });
            }
            Err(
                error @ (ConnectError::Foreign { .. }
                | ConnectError::Http(_)
                | ConnectError::Reactor(_)),
            ) => {
                return Err(Outcome::Denied(error.to_string()));
            }
        };
        let name = concat!("mpfork ", env!("CARGO_PKG_VERSION"));
        let client = |handshake| Self {
            channel: channel.clone(),
            connection: connection.clone(),
            handshake,
            socket: place.path.clone(),
        };
        match client_handshake(channel.clone(), &connection, name, DEFAULT_CREDIT).await {
            Ok(handshake) => Ok(client(handshake)),
            Err(status) => Err(Outcome::Failed(error(&place.path, &connection, &status))),
        }
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Which run of the daemon this is.
    #[must_use]
    pub fn instance(&self) -> u64 {
        self.handshake.instance
    }

    /// The daemon's name and version.
    #[must_use]
    pub fn daemon(&self) -> &str {
        &self.handshake.daemon
    }

    /// The daemon's pid as it sees itself: to show, not to signal.
    #[must_use]
    pub fn daemon_pid(&self) -> i32 {
        self.handshake.pid
    }

    /// Whether it can't fork where it runs: every worker is executed afresh then.
    #[must_use]
    pub fn spawns(&self) -> bool {
        self.handshake.spawns
    }

    /// Whether descriptors pass on this connection: not through what relays bytes only. Where they do
    /// not, there is [`Client::run_relayed`].
    #[must_use]
    pub fn carries_descriptors(&self) -> bool {
        self.handshake.descriptors
    }

    /// Whether the connection has ended, or takes no more calls, as far as that has been noticed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed() || self.channel.is_closed()
    }

    /// What a failed call means.
    pub(super) fn error(&self, status: &Status) -> Error {
        error(&self.socket, &self.connection, status)
    }

    /// The connection was found to be dead before anything was sent.
    pub(super) fn unsent(&self, error: SendError) -> Error {
        match error {
            SendError::Closed(cause) => Error::ServerLost {
                socket: self.socket.clone(),
                cause: cause.map_or_else(|| "it closed".to_owned(), |cause| cause.to_string()),
                asked: false,
            },
            other => Problem::from(other).into(),
        }
    }

    /// Waits for credit for this many descriptors.
    pub(super) async fn reserve(&self, count: usize) -> Result<Reservation, Error> {
        let reservation = self.connection.reserve(count).await;
        reservation.map_err(|error| self.unsent(error))
    }

    /// A task that carried a call was lost with its runtime.
    pub(super) fn aborted(&self) -> Error {
        Error::ServerLost {
            socket: self.socket.clone(),
            cause: "the call's runtime was shut down".to_owned(),
            asked: true,
        }
    }
}

/// Why a place gave no connection.
enum Outcome {
    /// Nobody is there.
    Absent(String),
    /// Somebody may be, but can't or must not be talked to.
    Denied(String),
    /// A daemon is there and refused.
    Failed(Error),
}

/// Everything the daemon itself says carries its reason. What does not comes from gRPC: the
/// connection broke, or the other side speaks something else.
fn error(socket: &Path, connection: &Connection, status: &Status) -> Error {
    if let Some(problem) = Problem::from_status(status) {
        return problem.into();
    }
    let reason = match status.code() {
        Code::Unimplemented => Reason::VersionMismatch,
        Code::ResourceExhausted | Code::OutOfRange => Reason::LimitReached,
        _ => {
            let cause = connection.failure().map_or_else(
                || format!("the connection broke ({})", status.message()),
                |failure| failure.to_string(),
            );
            return Error::ServerLost {
                socket: socket.to_owned(),
                cause,
                asked: true,
            };
        }
    };
    Problem::new(reason, status.message()).into()
}
