//! Where the daemon's socket is looked for, and where a daemon without a setting puts it.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub use place::{Candidate, Origin, SOCKET_ENV, SOCKET_NAME, SYSTEM_SOCKET};

#[path = "place.rs"]
mod place;

impl Candidate {
    /// Checks what must hold before anything is said to a socket there: the temporary folder is open
    /// to everybody, so the folder in it must be the user's own.
    ///
    /// # Errors
    /// [`Unsafe`] when another user could have made what is there.
    pub fn check(&self) -> Result<(), Unsafe> {
        match (self.origin, self.path.parent()) {
            (Origin::Temporary, Some(folder)) => check_private(folder),
            _ => Ok(()),
        }
    }
}

/// A folder that is not the user's own alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// It is not there, or can't be looked at.
    #[error("{}: {message}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// The system's message.
        message: String,
        /// What kind of error it was.
        kind: std::io::ErrorKind,
    },
    /// A symbolic link or a file.
    #[error("{} is not a directory: not used", path.display())]
    NotDirectory {
        /// The folder.
        path: PathBuf,
    },
    /// Another user's.
    #[error("{} belongs to user {owner}: not used", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may enter it.
    #[error("{} has mode {mode:o} instead of 700: not used", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Checks that a folder is a directory, no symbolic link, the user's own, and closed to others.
///
/// # Errors
/// The first of these that does not hold.
pub fn check_private(path: &Path) -> Result<(), Unsafe> {
    let owned = |path: &Path| path.to_owned();
    // Without following a link, and in one look, so that what is checked is one and the same thing.
    let found = std::fs::symlink_metadata(path).map_err(|error| Unsafe::Unreadable {
        path: owned(path),
        message: error.to_string(),
        kind: error.kind(),
    })?;
    let mode = found.mode() & 0o7777;
    if !found.is_dir() {
        Err(Unsafe::NotDirectory { path: owned(path) })
    } else if found.uid() != uid() {
        Err(Unsafe::Foreign {
            path: owned(path),
            owner: found.uid(),
        })
    } else if mode != 0o700 {
        Err(Unsafe::Open {
            path: owned(path),
            mode,
        })
    } else {
        Ok(())
    }
}

/// The places where a client looks for the daemon, in order. When one is given, or named in the
/// environment, it is the only one.
#[must_use]
pub fn candidates(explicit: Option<&Path>) -> Vec<Candidate> {
    candidates_in(explicit, &|name| std::env::var_os(name))
}

/// Where a daemon listens that was not told where: the first place of [`candidates`] that is the
/// user's own; root's is the system's.
#[must_use]
pub fn default_for_daemon() -> Candidate {
    default_in(uid(), &|name| std::env::var_os(name))
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn candidates_in(explicit: Option<&Path>, env: Lookup<'_>) -> Vec<Candidate> {
    let candidate = |path: PathBuf, origin| Candidate { path, origin };
    if let Some(path) = explicit {
        return vec![candidate(path.to_owned(), Origin::Explicit)];
    }
    if let Some(path) = env(SOCKET_ENV).filter(|path| !path.is_empty()) {
        return vec![candidate(path.into(), Origin::Environment)];
    }
    let mut found = Vec::with_capacity(3);
    found.extend(runtime(env).map(|path| candidate(path, Origin::Runtime)));
    found.push(candidate(temporary(env), Origin::Temporary));
    found.push(candidate(SYSTEM_SOCKET.into(), Origin::System));
    found
}

fn default_in(uid: u32, env: Lookup<'_>) -> Candidate {
    if let Some(path) = env(SOCKET_ENV).filter(|path| !path.is_empty()) {
        return Candidate {
            path: path.into(),
            origin: Origin::Environment,
        };
    }
    if let Some(path) = runtime(env) {
        return Candidate {
            path,
            origin: Origin::Runtime,
        };
    }
    if uid == 0 {
        return Candidate {
            path: SYSTEM_SOCKET.into(),
            origin: Origin::System,
        };
    }
    Candidate {
        path: temporary(env),
        origin: Origin::Temporary,
    }
}

/// A relative path is to be ignored, says the specification.
fn runtime(env: Lookup<'_>) -> Option<PathBuf> {
    let folder = PathBuf::from(env("XDG_RUNTIME_DIR")?);
    let socket = folder.join("mpforkd").join(SOCKET_NAME);
    folder.is_absolute().then_some(socket)
}

fn temporary(env: Lookup<'_>) -> PathBuf {
    let folder = env("TMPDIR").filter(|path| !path.is_empty());
    PathBuf::from(folder.unwrap_or_else(|| "/tmp".into()))
        .join(format!("mpforkd-{}", uid()))
        .join(SOCKET_NAME)
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
