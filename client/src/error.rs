//! What can go wrong.

use crate::exit::{Exit, Failure};
use crate::method::{StartMethod, UnknownStartMethod};
use crate::shared::SharedError;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_transport::search::Candidate;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why something failed.
///
/// What keeps a worker from being started is [`Error::Server`], whose [`Problem`] has a reason of one
/// table and the facts by name: see [`Error::reason`]. It is the same error with the same words whichever
/// server finds it: mpforkd, one of the program's own, or the program itself by start method `fork`.
///
/// `Debug` shows the same words as `Display`: they are what a `main` prints that returns it.
#[allow(clippy::error_impl_error)] // the crate's one error, used as `mpfork::Error`
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// mpforkd is demanded, and was not found.
    #[error(transparent)]
    NoServer(#[from] NoServer),
    /// The daemon went away, or the connection to it broke.
    #[error(
        "lost mpforkd at {}: {cause}{}", socket.display(),
        if *.asked { "" } else { " (nothing had been asked of it)" }
    )]
    ServerLost {
        /// The daemon's socket.
        socket: PathBuf,
        /// What is known of the cause.
        cause: String,
        /// Whether the request may have reached it. A start that may have is not repeated by itself
        /// on another daemon.
        asked: bool,
    },
    /// The server refused, and says why; or it failed.
    #[error(transparent)]
    Server(#[from] Problem),
    /// `freeze_support()` was not called, so this program can't be executed as a zygote or a worker. By
    /// start method `fork` nothing is.
    /// Nothing was executed. Python's is the `RuntimeError` of a start before "the current process has
    /// finished its bootstrapping phase".
    #[error(
        "this program can't start workers: call mpfork::freeze_support() first thing in main, or \
         mpfork::test_support!() in the crate whose tests do"
    )]
    NotFrozen,
    /// The worker of a call did not give a result.
    #[error(transparent)]
    Worker(#[from] Box<WorkerError>),
    /// The arguments can't be written.
    #[error("the arguments can't be encoded: {0}")]
    Encode(String),
    /// The result can't be read as the type expected.
    #[error("the result can't be decoded: {0}")]
    Decode(String),
    /// This start method, this version or this platform does not have it.
    #[error("{what}: {why}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why it can't be had.
        why: &'static str,
    },
    /// The function does not belong to the program itself but to a shared library.
    #[error(
        "the function is not in the program's own image but in a shared library: only a registered \
         name can name it"
    )]
    ForeignFunction,
    /// The platform has no such start method. Python's is the `ValueError` "cannot find context for".
    #[error(
        "{}{method:?} is no start method that this platform has: it has {}",
        .origin.map(|origin| format!("{origin}: ")).unwrap_or_default(), crate::method::listed()
    )]
    NoStartMethod {
        /// What was asked for.
        method: String,
        /// The environment variable that asked for it, when one did.
        origin: Option<&'static str>,
    },
    /// An environment variable that overrides what the program does is set to something else than it may
    /// be.
    #[error("{variable}={} in the environment: expected {expected}", value.display())]
    BadOverride {
        /// Its name.
        variable: &'static str,
        /// What it is set to.
        value: OsString,
        /// What it may be.
        expected: &'static str,
    },
    /// By start method `fork`, this process has threads, of which the forked one would find only what
    /// they had locked and half changed. Python warns.
    #[error(
        "a process with threads can't be forked: this one has also {}; start before they do, or use \
         forkserver or spawn", threads.join(", ")
    )]
    HasThreads {
        /// The names of the threads besides the calling one.
        threads: Vec<String>,
    },
    /// The default start method is fixed already. Python's is the `RuntimeError` "context has already
    /// been set".
    #[error("the start method has been set already, to {method}")]
    StartMethodFixed {
        /// What it is.
        method: StartMethod,
    },
    /// A context is bound to its start method. Python's is the `ValueError` "cannot set start method of
    /// concrete context".
    #[error("can't set the start method of a context: it is {method}, and stays so")]
    ConcreteContext {
        /// What it is.
        method: StartMethod,
    },
    /// The program declares no preload of that name.
    #[error(
        "no preload is named {name:?}: this program declares {}",
        if .declared.is_empty() { "none".to_owned() } else { .declared.join(", ") }
    )]
    UnknownPreload {
        /// The name.
        name: String,
        /// Those that it declares, in load order.
        declared: Vec<String>,
    },
    /// The process is a daemonic worker, and tried to start another. Python's is the `AssertionError` of
    /// the same words.
    #[error("daemonic processes are not allowed to have children")]
    Daemonic,
    /// The process is still running. Python's is the `ValueError` of `close`.
    #[error("can't close the process while it is running: join or terminate it first")]
    StillRunning,
    /// A program can't be executed as a zygote of processes, or for one of them.
    #[error("{} is no program that mpfork can use: {why}", program.display())]
    BadProgram {
        /// The program.
        program: PathBuf,
        /// What it did instead.
        why: String,
    },
    /// State that processes share can't be made.
    #[error("shared memory: {0}")]
    Shared(#[from] SharedError),
    /// The system refused something.
    #[error("{doing}: {error}")]
    System {
        /// What was tried.
        doing: String,
        /// The system's error.
        #[source]
        error: io::Error,
    },
}

/// What a `main` shows that returns the error is for people, and so is what `unwrap` shows.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `EX_OSFILE`: the caller's own system, not the daemon's.
const HERE: u8 = 72;

impl Error {
    pub(crate) fn system(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::System {
            doing: doing.into(),
            error: error.into(),
        }
    }

    /// The reason, when a server gave one.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Server(problem) => Some(problem.reason),
            _ => None,
        }
    }

    /// The exit code a command-line program should end with: `mpctl`'s, from the table of reasons;
    /// of a worker's failure the worker's own; 72, which no reason has, when the system refused
    /// something on this side.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let of = |reason: Reason| reason.row().exit_code;
        match self {
            Self::Server(problem) => of(problem.reason),
            Self::NoServer(_) => of(Reason::ShuttingDown),
            Self::ServerLost { .. } => of(Reason::WorkerLost),
            Self::NotFrozen
            | Self::Unsupported { .. }
            | Self::NoStartMethod { .. }
            | Self::StartMethodFixed { .. }
            | Self::ConcreteContext { .. }
            | Self::BadOverride { .. }
            | Self::HasThreads { .. }
            | Self::UnknownPreload { .. }
            | Self::Daemonic => of(Reason::BadRequest),
            Self::ForeignFunction | Self::BadProgram { .. } => of(Reason::ProgramRefused),
            Self::Worker(error) => error.exit.shell_code(),
            Self::Encode(_) | Self::Decode(_) => of(Reason::DescriptorMissing),
            Self::StillRunning => of(Reason::TemplateBusy),
            Self::Shared(_) | Self::System { .. } => HERE,
        }
    }
}

impl From<UnknownStartMethod> for Error {
    fn from(unknown: UnknownStartMethod) -> Self {
        Self::NoStartMethod {
            method: unknown.name().to_owned(),
            origin: None,
        }
    }
}

/// A place where a daemon was looked for in vain.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The place.
    pub place: Candidate,
    /// What was wrong there.
    pub why: String,
    /// Whether there is certainly no daemon: no socket, or nobody behind it.
    pub absent: bool,
}

/// No daemon was found: where it was looked for, and why it was not there.
#[derive(Debug, Clone)]
pub struct NoServer {
    /// The places in the order they were tried, with what was wrong at each.
    pub tried: Vec<Attempt>,
    /// What demands mpforkd of a program that could have a server of its own, and how that is changed:
    /// in words. Absent where nothing else would do.
    pub demand: Option<&'static str>,
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no mpforkd found:")?;
        for Attempt { place, why, .. } in &self.tried {
            write!(f, "\n  {} ({}): {why}", place.path.display(), place.origin)?;
        }
        f.write_str("\nstart one with `mpforkd`, or name its socket in MPFORKD_SOCKET")?;
        match self.demand {
            Some(demand) => write!(f, "\nit is demanded by {demand}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoServer {}

/// The worker of a call ended without giving a result.
#[derive(Debug, Clone)]
pub struct WorkerError {
    /// How it ended.
    pub exit: Exit,
    /// The panic or the error that ended it, when there was one.
    pub failure: Option<Failure>,
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Some(failure) => write!(f, "the worker failed: {failure}"),
            None if self.exit.success() => f.write_str("the worker ended without a result"),
            None => write!(f, "the worker ended without a result: {}", self.exit),
        }
    }
}

impl std::error::Error for WorkerError {}

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_transport::search::Origin;

    #[test]
    fn every_reason_gives_the_tables_exit_code() {
        for row in mpfork_proto::reason::TABLE {
            let error = Error::from(Problem::new(row.reason, "x"));
            assert_eq!(error.reason(), Some(row.reason));
            assert_eq!(error.exit_code(), row.exit_code);
        }
    }

    #[test]
    fn what_failed_on_this_side_is_told_from_what_failed_on_the_daemons() {
        let code = Error::system("opening", io::Error::other("x")).exit_code();
        assert_eq!(code, 72);
        for row in mpfork_proto::reason::TABLE {
            assert_ne!(row.exit_code, code, "{:?}", row.reason);
        }
    }

    #[test]
    fn a_missing_daemon_is_explained() {
        let tried = vec![Attempt {
            place: Candidate {
                path: "/run/x".into(),
                origin: Origin::System,
            },
            why: "No such file".to_owned(),
            absent: true,
        }];
        let demand = Some("MPFORK_SERVER");
        let text = Error::from(NoServer { tried, demand }).to_string();
        let parts = ["/run/x", "the system's daemon", "No such file", "`mpforkd`"];
        for part in parts.into_iter().chain(demand) {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_a_returning_main_shows_is_the_message() {
        let error = Error::system("opening x", io::Error::other("no luck"));
        assert_eq!(format!("{error:?}"), "opening x: no luck");
        assert_eq!(
            format!("{:?}", Error::StillRunning),
            Error::StillRunning.to_string()
        );
    }
}
