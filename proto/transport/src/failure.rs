//! Why a connection ended, when it did not just close.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use std::io;
use std::time::Duration;

/// What ended a connection. hyper reports a stream's error as a broken connection and no more, so
/// the cause is kept with the [`Connection`](crate::Connection).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The kernel could not install descriptors that came in: MSG_CTRUNC.
    #[error(
        "descriptors were lost on the way in: this process has no free descriptor numbers (raise \
         its limit of open files), or a security module refused them"
    )]
    DescriptorsLost,
    /// The kernel kept refusing to send: ETOOMANYREFS.
    #[error(
        "descriptors could not be sent for {waited:?}: this user has more of them in flight between \
         processes than its limit of open files (raise that limit, or find the process that does \
         not read its socket), or sockets are nested in each other"
    )]
    TooManyInFlight {
        /// How long sending was tried.
        waited: Duration,
    },
    /// The peer sent more descriptors than it may have outstanding.
    #[error(
        "the peer left {unclaimed} descriptors unclaimed, but may have {allowed} outstanding: it \
         does not keep to the credit, or sends descriptors that no call names"
    )]
    Flooded {
        /// How many lay in the inbox.
        unclaimed: usize,
        /// How many may.
        allowed: usize,
    },
    /// The peer connected and made no call.
    #[error("no call was made within {waited:?} of connecting")]
    Silent {
        /// How long one was awaited.
        waited: Duration,
    },
    /// The peer says nothing more, as it has shut its writing side, and takes nothing either.
    #[error("the peer has ended its side, and took nothing of what it was sent for {waited:?}")]
    Abandoned {
        /// How long it took nothing.
        waited: Duration,
    },
    /// The socket failed otherwise; mostly the peer is gone.
    #[error("{doing} the socket failed: {message}")]
    Socket {
        /// `reading` or `writing`.
        doing: &'static str,
        /// The kind of the system's error.
        kind: io::ErrorKind,
        /// The system's message.
        message: String,
    },
}

impl Failure {
    pub(crate) fn socket(doing: &'static str, error: &io::Error) -> Self {
        Self::Socket {
            doing,
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    /// The error a stream's user gets, with the failure inside.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::DescriptorsLost | Self::Flooded { .. } => io::ErrorKind::InvalidData,
            Self::TooManyInFlight { .. } => io::ErrorKind::QuotaExceeded,
            Self::Silent { .. } | Self::Abandoned { .. } => io::ErrorKind::TimedOut,
            Self::Socket { kind, .. } => *kind,
        };
        io::Error::new(kind, self)
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::DescriptorsLost => Self::new(Reason::LimitReached, text)
                .with("limit", "open files")
                .with("value", "of the receiving process"),
            Failure::TooManyInFlight { .. } => Self::new(Reason::LimitReached, text)
                .with("limit", "descriptors in flight")
                .with("value", "the sending process's limit of open files"),
            Failure::Flooded { allowed, .. } => Self::new(Reason::LimitReached, text)
                .with("limit", "descriptors outstanding")
                .with("value", allowed),
            Failure::Silent { waited } | Failure::Abandoned { waited } => {
                Self::new(Reason::DeadlineExceeded, text).with("what", format!("{waited:?}"))
            }
            Failure::Socket { .. } => {
                Self::new(Reason::DescriptorMissing, text.clone()).with("detail", text)
            }
        }
    }
}
