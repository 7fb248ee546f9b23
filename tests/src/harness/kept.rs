//! Runs a program that starts processes of its own, and sees what it leaves.

use super::programs::{KEEPER, program};
use super::{Daemon, Folder, Setup, check, leaks};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// The first lines of the program's standard input.
const INPUT: &str = "first line\nsecond line\n";

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Told {
    /// On standard output, with its own folder's path as `{folder}`.
    pub said: String,
    /// On standard error.
    pub complained: String,
    /// `code N` or `signal N`.
    pub ended: String,
    /// What did not end with it: processes, files.
    pub left: Vec<String>,
}

/// A program that is about to be run in a folder of its own. Its environment is empty but for what it
/// needs, and what is added.
#[derive(Debug)]
pub struct Kept {
    folder: Folder,
    /// Around the program; it will see what is left of it.
    keeper: Command,
}

impl Kept {
    /// A program, without arguments.
    ///
    /// # Panics
    /// When its folder can't be made.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let folder = Folder::new();
        for name in ["cwd", "run", "tmp"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::write(folder.join("in"), INPUT).unwrap();
        let mut keeper = Command::new(program(KEEPER));
        let script = "cd cwd && exec \"$@\" <../in >../out 2>../err";
        keeper
            .args(["/bin/sh", "-c", script, "sh"])
            .arg(path)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TMPDIR", folder.join("tmp"))
            .env("XDG_RUNTIME_DIR", folder.join("run"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self { folder, keeper }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.keeper.args(args);
        self
    }

    /// Adds a variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.keeper.env(name, value);
        self
    }

    /// Adds variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Self {
        self.keeper.envs(variables);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it can't be run.
    #[must_use]
    pub fn run(mut self) -> Told {
        let mut running = self.keeper.spawn().unwrap();
        // Its end is the keeper's sign that this process has died.
        let input = running.stdin.take();
        let (mut ended, mut left) = (String::new(), Vec::new());
        for line in BufReader::new(running.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.split_once(' ') {
                Some(("ended", how)) => how.clone_into(&mut ended),
                Some(("left", process)) => left.push(format!("process {process}")),
                _ => {}
            }
        }
        drop(input);
        running.wait().unwrap();
        let folder = &self.folder;
        for name in ["run", "tmp"] {
            for entry in std::fs::read_dir(folder.join(name)).unwrap() {
                left.push(format!("file {}", entry.unwrap().path().display()));
            }
        }
        let read = |name: &str| {
            let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.replace(folder.path().to_str().unwrap(), "{folder}")
        };
        Told {
            said: read("out"),
            complained: read("err"),
            ended,
            left,
        }
    }
}

/// Runs it where this process has no mpforkd.
///
/// # Panics
/// When this process is left with more than it had.
pub fn alone<T>(run: impl FnOnce() -> T) -> T {
    let running = leaks::enter();
    let told = run();
    drop(running);
    told
}

/// Runs it beside a mpforkd of its own.
///
/// # Panics
/// When mpforkd leaves something.
pub fn beside<T>(run: impl FnOnce(&Daemon) -> T) -> T {
    let mut told = None;
    check(Setup::new(), async |daemon| {
        told = Some(run(daemon));
    });
    told.unwrap()
}
