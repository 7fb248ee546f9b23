//! Runs the program, and sees what it leaves.

use mpfork_tests::harness::programs::{self, KEEPER, program};
use mpfork_tests::harness::{self, Folder};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

/// A descriptor that the program inherits beside its standard streams.
pub(crate) const INHERITED: &str = "9";

/// What the program says of its own streams, its zygote's, and a process's exit.
pub(crate) const CLOSED: &str =
    "own [None, None, None]\nzygote [Some(\"null\"), Some(\"null\"), Some(\"null\")]\nexit 0\n";

/// What the program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    /// On standard output, or in the file that stands for it.
    pub(crate) said: String,
    #[allow(dead_code)] // shown where a test fails
    complained: String,
    /// `code N` or `signal N`.
    pub(crate) ended: String,
    /// Processes that did not end with it.
    pub(crate) left: Vec<String>,
}

/// Runs the program.
pub(crate) fn run(words: &[&str], environment: &[(&str, &str)]) -> Told {
    let program = program("test-embedded");
    run_in(&Folder::new(), &program, words, environment, |_, input| {
        input
    })
}

/// Runs the program, and does something meanwhile: it is killed when its input is dropped.
pub(crate) fn run_until(
    words: &[&str],
    meanwhile: impl FnOnce(&Folder, Option<ChildStdin>) -> Option<ChildStdin>,
) -> Told {
    run_in(
        &Folder::new(),
        &program("test-embedded"),
        words,
        &[],
        meanwhile,
    )
}

/// Runs a copy of the program with this mode, which must succeed and leave nothing.
pub(crate) fn succeeds_copied(words: &[&str], mode: u32) {
    let folder = Folder::new();
    let copy = folder.join("copy");
    std::fs::copy(program("test-embedded"), &copy).unwrap();
    std::fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
    let told = run_in(&folder, &copy, words, &[], |_, input| input);
    expect_success(&told);
}

/// What loads the libraries of this machine's programs, this one's among them.
pub(crate) fn loader() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths = maps.lines().filter_map(|line| line.split_once('/'));
    paths.find_map(|(_, path)| {
        let path = Path::new("/").join(path);
        let name = path.file_name()?.to_str()?;
        name.starts_with("ld-").then_some(path)
    })
}

/// Has another program run the program, which must succeed and leave nothing.
pub(crate) fn succeeds_by(other: &Path, words: &[&str]) {
    let program = program("test-embedded");
    let words: Vec<_> = [program.to_str().unwrap()]
        .iter()
        .chain(words)
        .copied()
        .collect();
    let told = run_in(&Folder::new(), other, &words, &[], |_, input| input);
    expect_success(&told);
}

fn run_in(
    folder: &Folder,
    program: &Path,
    words: &[&str],
    environment: &[(&str, &str)],
    meanwhile: impl FnOnce(&Folder, Option<ChildStdin>) -> Option<ChildStdin>,
) -> Told {
    let running = harness::leaks::enter();
    for name in ["run", "tmp"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let mut keeper = Command::new(programs::program(KEEPER));
    let script = "exec \"$@\" </dev/null >out 2>err 9>inherited";
    keeper
        .args(["/bin/sh", "-c", script, "sh"])
        .arg(program)
        .args(words)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", folder.join("tmp"))
        .env("XDG_RUNTIME_DIR", folder.join("run"))
        .env("MPFORK_SERVER", "embedded")
        .env("EMBEDDED_FOLDER", folder.path())
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = keeper.spawn().unwrap();
    // Its end is the keeper's sign that this process has died.
    let input = child.stdin.take();
    let said = BufReader::new(child.stdout.take().unwrap());
    let input = meanwhile(folder, input);
    let (mut ended, mut left) = (String::new(), Vec::new());
    for line in said.lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("ended", how)) => how.clone_into(&mut ended),
            Some(("left", process)) => left.push(process.to_owned()),
            _ => {}
        }
    }
    drop(input);
    child.wait().unwrap();
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let told = Told {
        said: read("out") + &read("told"),
        complained: read("err"),
        ended,
        left,
    };
    drop(running);
    told
}

/// Runs the program, which must succeed and leave nothing.
pub(crate) fn succeeds(words: &[&str], environment: &[(&str, &str)]) -> Told {
    let told = run(words, environment);
    expect_success(&told);
    told
}

fn expect_success(told: &Told) {
    assert_eq!(told.ended, "code 0", "{told:#?}");
    assert!(told.left.is_empty(), "{told:#?}");
}
