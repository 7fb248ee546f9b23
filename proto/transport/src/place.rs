//! The places where a daemon's socket may be.

use std::fmt;
use std::path::PathBuf;

/// The environment variable that names the socket.
pub const SOCKET_ENV: &str = "MPFORKD_SOCKET";
/// The system daemon's socket.
pub const SYSTEM_SOCKET: &str = "/run/mpforkd/mpforkd.sock";
/// The socket's name in its directory.
pub const SOCKET_NAME: &str = "mpforkd.sock";

/// Why a place is a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller named it.
    Explicit,
    /// [`SOCKET_ENV`].
    Environment,
    /// `$XDG_RUNTIME_DIR/mpforkd/`.
    Runtime,
    /// The user's own folder under the system's temporary folder.
    Temporary,
    /// [`SYSTEM_SOCKET`].
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "given by the caller",
            Self::Environment => SOCKET_ENV,
            Self::Runtime => "XDG_RUNTIME_DIR",
            Self::Temporary => "the user's folder under the temporary folder",
            Self::System => "the system's daemon",
        })
    }
}

/// A place to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The socket's path.
    pub path: PathBuf,
    /// Why it is one.
    pub origin: Origin,
}
