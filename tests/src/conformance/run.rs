//! Runs a scenario in a process of its own, and sees what it leaves.

use super::Way;
use crate::harness::programs::{KEEPER, program};
use crate::harness::{self, Daemon, Folder, Setup};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// Panics unwind.
    ToUnwind,
    /// Panics abort.
    ToAbort,
}

/// What a scenario printed, and how it ended.
#[derive(Debug)]
pub struct Told {
    /// On standard output, with its own folder's path as `{folder}` and one name for both builds.
    pub said: String,
    /// On standard error.
    pub complained: String,
    /// `code N` or `signal N`.
    pub ended: String,
    /// What did not end with it: processes, files.
    pub left: Vec<String>,
}

/// The program's builds; what they print says the first one's name.
const UNWINDING: &str = "conformance";
const ABORTING: &str = "conformance-abort";

/// The first lines of the program's standard input.
const INPUT: &str = "first line\nsecond line\n";

/// Runs a scenario.
///
/// # Panics
/// When it can't be run, or mpforkd leaves something.
#[must_use]
pub fn run(way: Way, built: Built, subject: &str, scenario: &str) -> Told {
    let program = match built {
        Built::ToUnwind => program(UNWINDING),
        Built::ToAbort => abort_build().to_owned(),
    };
    let run = |daemon: Option<&Daemon>| {
        let folder = Folder::new();
        for name in ["cwd", "run", "tmp"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::write(folder.join("in"), INPUT).unwrap();
        let mut keeper = keeper(&folder, &program, way);
        if let Some(daemon) = daemon {
            keeper.env("MPFORKD_SOCKET", daemon.socket());
        }
        tell(keeper.args([subject, scenario]), &folder)
    };
    if way != Way::Mpforkd {
        let running = harness::leaks::enter();
        let told = run(None);
        drop(running);
        return told;
    }
    let mut told = None;
    harness::check(Setup::new(), async |daemon| {
        told = Some(run(Some(daemon)));
    });
    told.unwrap()
}

/// The process around the program, which will see what is left of it.
fn keeper(folder: &Folder, program: &Path, way: Way) -> Command {
    let mut keeper = Command::new(harness::programs::program(KEEPER));
    let script = "cd cwd && exec \"$@\" <../in >../out 2>../err";
    keeper
        .args(["/bin/sh", "-c", script, "sh"])
        .arg(program)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", folder.join("tmp"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .envs(way.environment().iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    keeper
}

fn tell(keeper: &mut Command, folder: &Folder) -> Told {
    let mut running = keeper.spawn().unwrap();
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
    for name in ["run", "tmp"] {
        for entry in std::fs::read_dir(folder.join(name)).unwrap() {
            left.push(format!("file {}", entry.unwrap().path().display()));
        }
    }
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.replace(folder.path().to_str().unwrap(), "{folder}")
            .replace(ABORTING, UNWINDING)
    };
    Told {
        said: read("out"),
        complained: read("err"),
        ended,
        left,
    }
}

/// Whether the program can be built to abort at panics: not where the tests were not started by cargo,
/// which has the sources.
#[must_use]
pub fn can_build() -> bool {
    std::env::var_os("CARGO").is_some() && abort_manifest().exists()
}

fn abort_manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("abort/Cargo.toml")
}

/// The program built to abort at panics; what it is built with is built so too, once.
fn abort_build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile = own.ancestors().nth(2).unwrap();
        let target = profile.parent().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked"])
            .args(["--config", "profile.dev.panic=\"abort\""])
            .arg("--manifest-path")
            .arg(abort_manifest())
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(status.success(), "the program was not built");
        target.join("debug").join(ABORTING)
    })
}
