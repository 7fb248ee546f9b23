//! A mpforkd of a bench's or a soak's own.

use anyhow::{Context as _, bail, ensure};
use mpfork::api::{Client, block_on};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Builds mpforkd as this program was built, which takes a moment when that was done before, and says
/// where it is.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "mpforkd", "--bin", "mpforkd"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("can't run cargo")?;
    ensure!(output.status.success(), "mpforkd can't be built");
    let messages = String::from_utf8(output.stdout)?;
    let built = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let named = message["target"]["name"] == "mpforkd";
        let path = message["executable"].as_str().filter(|_| named)?;
        Some(PathBuf::from(path))
    });
    built.context("cargo did not say where mpforkd is")
}

/// A running mpforkd, ended when this is dropped.
pub(crate) struct Daemon {
    process: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with a configuration, on a socket of its own, and waits until it serves.
    pub(crate) fn start(program: &Path, config: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mpfork-tests-").tempdir()?;
        let socket = folder.path().join("mpforkd.sock");
        let config_file = folder.path().join("mpforkd.toml");
        std::fs::write(&config_file, config)?;
        let process = Command::new(program)
            .arg("--socket")
            .arg(&socket)
            .arg("--config")
            .arg(&config_file)
            .args(["--log", "error"])
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let mut daemon = Self {
            process,
            socket,
            _folder: folder,
        };
        daemon.wait_until_it_serves()?;
        Ok(daemon)
    }

    fn wait_until_it_serves(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("mpforkd ended: {status}");
            }
            match UnixStream::connect(&self.socket) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("mpforkd does not serve");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap_or(0)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it in order.
    pub(crate) fn shut_down(mut self) -> anyhow::Result<()> {
        let client = block_on(Client::connect(Some(&self.socket)))?;
        block_on(client.shutdown(None))?;
        let status = self.process.wait()?;
        ensure!(status.success(), "mpforkd ended with {status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already, unless something has failed.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
