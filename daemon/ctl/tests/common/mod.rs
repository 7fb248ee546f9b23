//! A daemon of a test's own, and mpctl run against it.
// Each test program uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)]

mod processes;
pub mod terminal;

use processes::{descendants, processes_with};
pub use processes::{is_alive, kill, state};

use std::fs::File;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nothing here takes as long; what does is broken.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits until something holds; panics when it does not within [`LIMIT`].
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn mpctl_path() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mpctl"))
}

/// Builds a program of the workspace, next to mpctl. Cargo does not do that for another package's.
fn build(args: &[&str], path: &str) -> PathBuf {
    let folder = mpctl_path().parent().unwrap();
    let program = folder.join(path);
    // Another user runs what was built for him.
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err() && program.exists() {
        return program;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .arg("build")
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build {args:?}:\n{errors}");
    assert!(program.exists(), "{} was not built", program.display());
    program
}

fn mpforkd() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build(&["-p", "mpforkd", "--bin", "mpforkd"], "mpforkd"))
}

/// The program in `tests/probe`.
pub fn probe() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let args = ["-p", "mpctl", "--example", "mpctl-probe"];
        build(&args, "examples/mpctl-probe")
    })
}

/// A daemon. [`Daemon::end`] must be called, and checks that nothing is left of it.
pub struct Daemon {
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        Self::with_config("")
    }

    pub fn with_config(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(mpforkd())
            .arg("--config")
            .arg(file)
            .arg("--socket")
            .arg(folder.path().join("d.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self {
            child: Some(child),
            folder,
        };
        eventually("mpforkd serves", || {
            UnixStream::connect(daemon.socket()).ok()
        });
        daemon
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("d.sock")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    /// mpctl with the daemon's socket and nothing on standard input.
    pub fn mpctl<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(mpctl_path());
        command
            .args(args)
            .env("MPFORKD_SOCKET", self.socket())
            .env_remove("PROBE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.mpctl(args).spawn().unwrap())
    }

    /// Runs mpctl with `--json` and reads what it prints.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let outcome = self.run(&[&["--json"], args].concat());
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Ends the daemon by its pid: it must exit with 0 and leave nothing.
    pub fn end(self) {
        let tree = descendants(self.pid());
        kill(self.pid(), 15);
        self.leaves_nothing(tree);
    }

    /// The daemon has been told to end: it must exit with 0 and leave nothing.
    pub fn ended(self) {
        self.leaves_nothing(Vec::new());
    }

    /// The daemon was killed: what it started must end by itself.
    pub fn killed(mut self) {
        let status = wait(self.child.as_mut().unwrap());
        assert_eq!(status.signal(), Some(9));
        self.child = None;
        self.nothing_is_left(Vec::new());
    }

    fn leaves_nothing(mut self, tree: Vec<i32>) {
        let mut child = self.child.take().unwrap();
        let status = wait(&mut child);
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert_eq!(status.code(), Some(0), "{status}, its log:\n{log}");
        assert!(!self.socket().exists(), "the socket is left");
        self.nothing_is_left(tree);
    }

    fn nothing_is_left(&self, tree: Vec<i32>) {
        for pid in tree.into_iter().chain(processes_with(&self.socket())) {
            eventually(&format!("process {pid} is gone"), || {
                (!is_alive(pid)).then_some(())
            });
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only when a test has failed before its end.
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            eprintln!("mpforkd's log:\n{}", log.unwrap_or_default());
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(mut child: Child) -> Self {
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        Self {
            status: wait(&mut child),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    }

    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub fn signal(&self) -> i32 {
        self.status.signal().unwrap_or_else(|| panic!("{self:?}"))
    }
}

fn drain(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Reads a line, which must come.
pub fn read_line(from: &mut impl std::io::Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    // No more than the line: what follows is for somebody else.
    while from.read(&mut byte).unwrap() == 1 {
        if byte == *b"\n" {
            return String::from_utf8(line).unwrap();
        }
        line.extend(byte);
    }
    panic!(
        "it ended within the line {:?}",
        String::from_utf8_lossy(&line)
    );
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("process {} did not end within {LIMIT:?}", child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
