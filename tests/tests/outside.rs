//! A program outside of the workspace, `tests/outside`, which is written by what the documentation says:
//! it does the same by every way of starting processes, whether mpforkd runs or not.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_tests::harness::Daemon;
use mpfork_tests::harness::kept::{Kept, Told, alone, beside};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PROGRAM: &str = "render-pages";

/// What it prints after its first line, whatever the way.
const PAGES: &str = "\
fork: <h1>Forking</h1><p>copy on write makes it <em>cheap</em>.</p>
empty: panicked: a document has a title
open: line 3: emphasis without end
spawn: <h1>Spawning</h1><p>Nothing is inherited.</p>
crash: signal 6 (exit code -6)
index: Spawning, Forking
checked: 3
watch is alive: true
";

const GLOSSARY: &str = "COW copy on write\n";

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/Cargo.toml")
}

/// Where it was built, once; with no more than what the workspace itself is built of.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        // This test is in `deps` of a profile's folder.
        let target = own.ancestors().nth(3).unwrap().join("outside");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked"])
            .arg("--manifest-path")
            .arg(manifest())
            .arg("--target-dir")
            .arg(&target)
            .status()
            .unwrap();
        assert!(
            status.success(),
            "the program was not built; where its lock file is out of step, the test `rules` says what to do"
        );
        target.join("debug").join(PROGRAM)
    })
}

/// The arguments, the variables, and the socket of the mpforkd that runs.
fn run(method: &str, variables: &[(&str, &str)], daemon: Option<&Daemon>) -> Told {
    let glossary = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(glossary.path(), GLOSSARY).unwrap();
    let mut kept = Kept::new(program());
    kept.args([method]).env("GLOSSARY", glossary.path());
    if let Some(daemon) = daemon {
        kept.env("MPFORKD_SOCKET", daemon.socket());
    }
    kept.envs(variables.iter().copied());
    kept.run()
}

/// It renders its pages, and says by which method and with which server.
fn renders(told: &Told, method: &str, server: &str) {
    let expected = format!("by {method}, server: {server}\n{PAGES}");
    assert_eq!(told.said, expected, "{told:?}");
    assert_eq!(told.ended, "code 0", "{told:?}");
    assert!(told.left.is_empty(), "{told:?}");
    // The panic and the error are told by the processes they happened in.
    for part in ["src/render.rs", "Error: emphasis without end"] {
        assert!(told.complained.contains(part), "{told:?}");
    }
}

/// It ends with this code, and says why.
fn fails(told: &Told, code: u8, parts: &[&str]) {
    assert_eq!(told.ended, format!("code {code}"), "{told:?}");
    assert!(told.left.is_empty(), "{told:?}");
    for part in parts {
        assert!(told.complained.contains(part), "{part}: {told:?}");
    }
}

/// Where the test is run without the sources it can't build the program.
fn skip() -> bool {
    let skip = !manifest().exists();
    if skip {
        eprintln!("skipped: needs the sources, to build the program from");
    }
    skip
}

#[test]
fn by_every_way_without_mpforkd() {
    if skip() {
        return;
    }
    for (method, server) in [
        ("fork", "Caller"),
        ("spawn", "Embedded"),
        ("forkserver", "Embedded"),
    ] {
        renders(&alone(|| run(method, &[], None)), method, server);
    }
}

#[test]
fn by_every_way_beside_mpforkd() {
    if skip() {
        return;
    }
    for (method, choice, server) in [
        ("fork", "any", "Caller"),
        ("spawn", "any", "Embedded"),
        ("forkserver", "any", "Mpforkd"),
        ("forkserver", "mpforkd", "Mpforkd"),
        ("forkserver", "embedded", "Embedded"),
    ] {
        let variables = [("MPFORK_SERVER", choice)];
        let told = beside(|daemon| run(method, &variables, Some(daemon)));
        renders(&told, method, server);
    }
}

#[test]
fn what_can_not_be_had_is_said_in_words() {
    if skip() {
        return;
    }
    let told = alone(|| run("forkserver", &[("MPFORK_SERVER", "mpforkd")], None));
    let parts = ["no mpforkd found", "mpforkd.sock", "MPFORK_SERVER=mpforkd"];
    fails(&told, 69, &parts);

    let told = alone(|| run("thread", &[], None));
    let parts = [
        "\"thread\" is no start method",
        "forkserver, fork and spawn",
    ];
    fails(&told, 64, &parts);

    // By spawn no preload is loaded ahead: the page that needs it tells.
    let nowhere = [("GLOSSARY", "/nonexistent/glossary")];
    let told = alone(|| run("forkserver", &nowhere, None));
    fails(&told, 78, &["preload \"GLOSSARY\"", "No such file"]);
    let told = beside(|daemon| run("forkserver", &nowhere, Some(daemon)));
    fails(&told, 78, &["preload \"GLOSSARY\"", "No such file"]);
    let told = alone(|| run("spawn", &nowhere, None));
    assert_eq!(told.ended, "code 0", "{told:?}");
    let line = "fork: panicked: preload `GLOSSARY`: No such file";
    assert!(told.said.contains(line), "{told:?}");
    // Where the program wanted it, not where the crate found that it can't be had.
    let panicked = |file: &str| told.complained.contains(&format!("panicked at {file}"));
    assert!(panicked("src/render.rs"), "{told:?}");
    assert!(!told.complained.contains("preload.rs"), "{told:?}");
}
