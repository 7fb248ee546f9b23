//! Where the programs under test are.

use std::path::PathBuf;

/// mpforkd.
pub const DAEMON: &str = "mpforkd-under-test";
/// A program with preloads, functions and hooks; also a client.
pub const TEST_PROGRAM: &str = "test-program";
/// The process around each daemon.
pub const KEEPER: &str = "test-keeper";

/// A program of this package, as it lies beside or above the test executable.
///
/// # Panics
/// When it was not built: `cargo test -p mpfork-tests` builds all of them.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is not beside {}: run `cargo build -p mpfork-tests --bins` first",
            own.display()
        )
    })
}

/// [`TEST_PROGRAM`]'s path.
#[must_use]
pub fn test_program() -> PathBuf {
    program(TEST_PROGRAM)
}

/// A path short enough for a socket's address, as long as this lives.
#[derive(Debug)]
pub struct Short {
    path: PathBuf,
    _file: Option<rustix::fd::OwnedFd>,
}

impl Short {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

/// A short path of a socket, if it is there.
#[must_use]
pub fn short(socket: &std::path::Path) -> Short {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsRawFd as _;
    let file = open(socket, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    let path = match &file {
        Some(file) => PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
        None => socket.to_owned(),
    };
    Short { path, _file: file }
}
