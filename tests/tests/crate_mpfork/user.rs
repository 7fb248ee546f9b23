//! The program `test-user`, and what tests and workers agree on.

use super::common::Server;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A new named pipe: who reads it waits until it is written to.
pub(crate) fn fifo(folder: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let gate = folder.join(format!("fifo-{number}"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    gate
}

/// For workers: waits until somebody writes to the named pipe, and returns that.
pub(crate) fn wait_for(gate: PathBuf) -> Result<String, std::io::Error> {
    std::fs::read_to_string(gate)
}

/// For workers: as [`wait_for`], without a result.
pub(crate) fn hang_at(gate: PathBuf) -> Result<(), std::io::Error> {
    wait_for(gate).map(drop)
}

/// The program, with no environment but the daemon's socket.
pub(crate) fn user(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(mpfork_tests::harness::programs::program("test-user"));
    command
        .args(words)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("MPFORKD_SOCKET", &server.socket)
        .stdin(Stdio::null());
    command
}

/// Runs a program, which must succeed; what it printed.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// Runs the program, which must succeed.
pub(crate) fn run(server: &Server, words: &[&str]) -> String {
    succeeds(&mut user(server, words))
}

/// The lines of a file; none when it is not there.
pub(crate) fn lines(path: impl AsRef<OsStr>) -> Vec<String> {
    let text = std::fs::read_to_string(path.as_ref()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
