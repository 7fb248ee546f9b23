//! Settings of the whole process: which program is executed, and what its zygotes load.

use super::context;
use super::preloads::{BROKEN, loaded};
use mpfork::{Error, OnPreloadError, Reason, set_executable, set_forkserver_preload};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Which of `numbers`, `total` and the one without a name a worker finds loaded, and its worker.
fn loads() -> [Vec<bool>; 2] {
    let below = || context().spawn(|| loaded().to_vec(), ()).unwrap().join();
    let ctx = context();
    let own = ctx.spawn(|| loaded().to_vec(), ()).unwrap().join().unwrap();
    let nested = ctx.spawn(move || below().unwrap(), ()).unwrap();
    [own, nested.join().unwrap()]
}

fn choose(names: &[&str]) {
    set_forkserver_preload(names.iter().copied(), OnPreloadError::Fail).unwrap();
}

pub(crate) fn chosen_preloads() {
    let all = [vec![true, true, true], vec![true, true, true]];
    assert_eq!(loads(), all);
    // Now the server runs: each choice means another one.
    choose(&["total"]);
    let with_its_dependency = vec![true, true, false];
    assert_eq!(loads(), [with_its_dependency.clone(), with_its_dependency]);
    choose(&[]);
    assert_eq!(loads(), [vec![false; 3], vec![false; 3]]);
    let error = set_forkserver_preload(["total", "nonesuch"], OnPreloadError::Warn).unwrap_err();
    let Error::UnknownPreload { name, declared } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(name, "nonesuch");
    assert!(declared.iter().any(|name| name == "numbers"));
    assert!(error.to_string().contains("numbers"), "{error}");
    assert_eq!(error.exit_code(), 64);
    assert_eq!(
        loads(),
        [vec![false; 3], vec![false; 3]],
        "nothing was changed"
    );
    // All by name are all.
    let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
    choose(&declared);
    assert_eq!(loads(), all);
}

fn broken_text() -> String {
    BROKEN.try_get().unwrap_err().to_string()
}

/// With a preload that fails.
pub(crate) fn failing_preload(how: &str) {
    let on_error = match how {
        "ignore" => OnPreloadError::Ignore,
        "warn" => OnPreloadError::Warn,
        _ => OnPreloadError::Fail,
    };
    let all = ["numbers", "total", "broken"];
    set_forkserver_preload(all, on_error).unwrap();
    let called = context().spawn(broken_text, ());
    if how == "fail" {
        let Err(Error::Server(problem)) = called else {
            panic!("not refused");
        };
        assert_eq!(problem.reason, Reason::PreloadFailed);
        assert_eq!(problem.get("preload"), "broken");
        // Without it, it is none.
        choose(&["total"]);
    } else {
        let text = called.unwrap().join().unwrap();
        assert!(text.contains("there is nothing to load"), "{text}");
    }
    assert_eq!(loads()[0], [true, true, false]);
}

fn own_path() -> PathBuf {
    std::fs::read_link("/proc/self/exe").unwrap()
}

fn spawned() -> Result<PathBuf, Error> {
    context().spawn(own_path, ())?.join()
}

fn refused(result: Result<PathBuf, Error>, path: &Path, what: &str) {
    let error = result.unwrap_err();
    let Error::BadProgram { program, why } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(program, path);
    assert!(why.contains(what), "{why}");
    assert_eq!(error.exit_code(), Reason::ProgramRefused.row().exit_code);
}

/// In a folder with a copy of this program and a file that is no program.
pub(crate) fn executable(folder: &Path, other: &str) {
    let copy = folder.join("copy");
    let file = folder.join("file");
    let written = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    };
    let whole = std::fs::read(&copy).unwrap();
    // The same build is the same template, wherever it lies: the first one is what is executed.
    set_executable(&copy);
    assert_eq!(spawned().unwrap(), copy);
    for (path, what) in [
        (folder.join("missing"), "No such file"),
        (file, "not executable"),
        (folder.to_owned(), "no regular file"),
        (PathBuf::from("/bin/sh"), "freeze_support()"),
        (written("script", b"#!/bin/sh\nexit 0\n"), "no ELF program"),
        (written("empty", b""), "no ELF program"),
        (written("cut", &whole[..100]), "no ELF program"),
        (written("half", &whole[..8192]), "no ELF program"),
        (PathBuf::from(other), "another program"),
    ] {
        set_executable(&path);
        refused(spawned(), &path, what);
    }
    // What is found by name, or is its main, may be another program's.
    let named = context().spawn_registered::<Option<String>>("value", &());
    assert_eq!(named.unwrap().join().unwrap().as_deref(), Some(""));
    // Who is asked for it is named, not who asks.
    let unknown = context().spawn_registered::<()>("nonesuch", &());
    let error = unknown.unwrap_err().to_string();
    let name = Path::new(other).file_name().unwrap().to_str().unwrap();
    let expected = format!(" {name} has registered no function \"nonesuch\"");
    assert!(error.contains(&expected), "{error}");
    set_executable(&copy);
    assert_eq!(spawned().unwrap(), copy);
    let mut main = context().process_main(["in-main-panic"]).start().unwrap();
    main.join(None).unwrap();
    let failure = main.exit().unwrap().failure().unwrap();
    assert_eq!(failure.message, "main panics");
}

/// As the environment says.
pub(crate) fn executable_of_the_environment(path: &Path, what: &str) {
    if what.is_empty() {
        assert_eq!(spawned().unwrap(), path);
    } else {
        refused(spawned(), path, what);
        // The program itself knows better.
        set_executable(own_path());
        assert_eq!(spawned().unwrap(), own_path());
    }
}
