//! A daemon: started in a private folder, watched, ended, and looked after.

use super::programs::{DAEMON, KEEPER, program};
use super::{TestClient, eventually, process};
use rustix::process::Signal;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

/// When this is set, daemons fork workers ahead from the first moment on: nothing that a worker does may
/// tell it from one that was forked for its start.
const SPARES: &str = "MPFORK_TEST_SPARES";

/// Whether every worker may have been forked ahead.
#[must_use]
pub fn spares_always() -> bool {
    std::env::var_os(SPARES).is_some()
}

/// A private folder that is removed when nobody needs it any more.
#[derive(Debug, Clone)]
pub struct Folder(Rc<tempfile::TempDir>);

impl Folder {
    /// A new one, of mode 0700.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("mpfork-test-").tempdir();
        Self(Rc::new(folder.unwrap()))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct Setup {
    folder: Folder,
    config: String,
    socket: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    /// Not told where to serve.
    unnamed: bool,
    /// What a shell does before it executes the daemon.
    prelude: String,
    /// What executes the daemon in its own place.
    wrapper: Vec<OsString>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A new private folder, an empty configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::within(&Folder::new())
    }

    /// In a folder that is there.
    #[must_use]
    pub fn within(folder: &Folder) -> Self {
        Self {
            folder: folder.clone(),
            config: String::new(),
            socket: folder.join("mpforkd.sock"),
            args: Vec::new(),
            env: Vec::new(),
            unnamed: false,
            prelude: String::new(),
            wrapper: Vec::new(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Adds to the configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Forks no worker ahead. Spares come and go with how often workers are started: processes that nobody
    /// started, with descriptors.
    #[must_use]
    pub fn without_spares(self) -> Self {
        self.config("[limits]\nspares = 0")
    }

    /// Serves on another socket than `mpforkd.sock` in the folder.
    #[must_use]
    pub fn socket(mut self, socket: impl AsRef<Path>) -> Self {
        self.socket = socket.as_ref().to_owned();
        self
    }

    /// Serves where a daemon of this runtime directory serves by itself: the folder is that directory.
    #[must_use]
    pub fn in_runtime_directory(mut self) -> Self {
        self.socket = self.folder.join("mpforkd/mpforkd.sock");
        self.unnamed = true;
        let folder = self.folder.path().to_owned();
        self.env("XDG_RUNTIME_DIR", folder)
    }

    /// Not told where to serve.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.unnamed = true;
        self
    }

    /// Executed by another command, which takes the daemon's own as its last arguments and executes it in
    /// its place.
    #[must_use]
    pub fn through(mut self, wrapper: Vec<OsString>) -> Self {
        self.wrapper = wrapper;
        self
    }

    /// Limits how many files it may have open.
    #[must_use]
    pub fn open_files(self, limit: u32) -> Self {
        self.prelude(&format!("ulimit -n {limit}"))
    }

    /// Has a shell do this before it executes the daemon, which inherits what the shell then has.
    #[must_use]
    pub fn prelude(mut self, command: &str) -> Self {
        self.prelude.push_str(command);
        self.prelude.push_str("; ");
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// As on a kernel without a feature.
    #[must_use]
    pub fn without_feature(self, feature: &str) -> Self {
        self.arg("--without-feature").arg(feature)
    }

    /// Sets a variable in the daemon's environment, which otherwise has a PATH only.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push((name, value));
        self
    }

    /// Starts a daemon that will serve.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(self) -> Daemon {
        let daemon = self.launch();
        let serves = eventually("mpforkd serves", || {
            if has_served(&daemon.socket) {
                Some(true)
            } else {
                (!process::lives(daemon.pid)).then_some(false)
            }
        });
        assert!(serves, "mpforkd did not start:\n{}", daemon.log());
        daemon
    }

    /// Starts a daemon that will refuse; its exit code and what it printed.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn refused(self) -> (Ended, String) {
        let daemon = self.launch();
        let ended = daemon.ended();
        (ended, daemon.log())
    }

    /// Starts a daemon without waiting for anything.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn launch(self) -> Daemon {
        let config = self.folder.join("mpforkd.toml");
        let mut text = self.config;
        if spares_always() && !text.contains("spares") {
            text.push_str("[spares]\nmin = 4\n");
        }
        std::fs::write(&config, text).unwrap();
        let log = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        let mut keeper = Command::new(program(KEEPER));
        if !self.prelude.is_empty() {
            let script = format!("{}exec \"$@\"", self.prelude);
            keeper.args(["/bin/sh", "-c", &script, "sh"]);
        }
        keeper.args(&self.wrapper);
        keeper.arg(program(DAEMON)).arg("--config").arg(&config);
        if !self.unnamed {
            keeper.arg("--socket").arg(&self.socket);
        }
        let mut keeper = keeper
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("MPFORKD_LOG", "mpforkd=debug")
            .env("RUST_BACKTRACE", "1")
            .envs(self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let input = keeper.stdin.take().unwrap();
        let mut told = BufReader::new(keeper.stdout.take().unwrap());
        let pid = line(&mut told).strip_prefix("pid ").unwrap().parse();
        Daemon {
            pid: pid.unwrap(),
            socket: self.socket,
            folder: self.folder,
            log,
            keeper: RefCell::new(Some(Keeper {
                process: keeper,
                told,
                _input: input,
            })),
            ended: RefCell::default(),
        }
    }
}

/// Connects, says nothing, and is hung up on. A connection alone may lie in the kernel's queue while
/// mpforkd still makes its other sockets; and it would count as one of those that are served.
fn has_served(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(super::programs::short(socket).path()) else {
        return false;
    };
    stream.set_read_timeout(Some(super::LIMIT)).unwrap();
    // Fails, as the reading does, where mpforkd ends instead.
    let _ = stream.shutdown(Shutdown::Write);
    stream.read_to_end(&mut Vec::new()).is_ok()
}

fn line(told: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    told: BufReader<ChildStdout>,
    /// Its end is the keeper's sign that this process has died.
    _input: ChildStdin,
}

/// How a daemon ended, and what it left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// `code N` or `signal N`.
    pub how: String,
    /// The processes that were there when it had ended, dead or alive.
    pub inherited: Vec<String>,
    /// Those that did not end by themselves.
    pub left: Vec<String>,
}

/// A daemon.
#[derive(Debug)]
pub struct Daemon {
    pid: i32,
    socket: PathBuf,
    folder: Folder,
    log: tempfile::NamedTempFile,
    keeper: RefCell<Option<Keeper>>,
    ended: RefCell<Option<Ended>>,
}

impl Daemon {
    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A path in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new named pipe in its folder: who reads it waits until it is written to.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn gate(&self) -> String {
        let gate = self.folder.join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        gate.into_os_string().into_string().unwrap()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read(self.log.path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// A client with a connection of its own.
    pub async fn connect(&self) -> TestClient {
        TestClient::connect(&self.socket).await
    }

    /// Signals it.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.pid, signal);
    }

    /// Kills it and waits until it is gone, with or without what it leaves.
    #[must_use]
    pub fn kill(&self) -> Ended {
        self.signal(Signal::KILL);
        self.ended()
    }

    /// Waits until it has ended, and what it leaves too.
    #[must_use]
    pub fn ended(&self) -> Ended {
        if let Some(ended) = &*self.ended.borrow() {
            return ended.clone();
        }
        let mut keeper = self.keeper.borrow_mut().take().unwrap();
        let mut ended = Ended::default();
        loop {
            let line = line(&mut keeper.told);
            match line.split_once(' ') {
                Some(("ended", how)) => how.clone_into(&mut ended.how),
                Some(("inherited", process)) => ended.inherited.push(process.to_owned()),
                Some(("left", process)) => ended.left.push(process.to_owned()),
                _ if line == "done" => break,
                _ => panic!("the keeper says {line:?}:\n{}", self.log()),
            }
        }
        keeper.process.wait().unwrap();
        self.ended.replace(Some(ended.clone()));
        ended
    }

    /// Waits until it has ended, while connections of this runtime see it end.
    pub async fn gone(&self) -> Ended {
        let gone = async || (!process::lives(self.pid)).then_some(());
        super::eventually_async("mpforkd ends", gone).await;
        self.ended()
    }

    /// Whether it has been waited for.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Ends it in order and checks that nothing is left: no process, no zombie, no socket.
    ///
    /// # Panics
    /// When something is.
    pub fn finish(&self) {
        if !self.has_ended() {
            eventually("mpforkd has no zombies", || {
                let tree = process::descendants(self.pid);
                tree.iter().all(|p| p.state != 'Z').then_some(())
            });
            self.signal(Signal::TERM);
            let ended = self.ended();
            let expected = Ended {
                how: "code 0".to_owned(),
                ..Ended::default()
            };
            assert_eq!(ended, expected, "what mpforkd left");
        }
        assert_eq!(self.ended().left, Vec::<String>::new(), "what did not end");
        if self.ended().how == "code 0" {
            self.expect_no_socket();
        }
    }

    fn expect_no_socket(&self) {
        assert!(!self.socket.exists(), "the socket is left");
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let is_socket = entry.file_type().unwrap().is_socket();
            assert!(!is_socket, "a socket is left: {}", entry.path().display());
        }
    }
}

/// Lets another user's processes reach the socket, as a careless administrator might.
///
/// # Panics
/// When the modes can't be changed.
pub fn open_to_everybody(daemon: &Daemon) {
    let mode = std::fs::Permissions::from_mode;
    std::fs::set_permissions(daemon.folder.path(), mode(0o711)).unwrap();
    std::fs::set_permissions(daemon.socket(), mode(0o666)).unwrap();
}
