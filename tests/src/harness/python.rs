//! A Python interpreter that has what `tests/python/requirements.txt` names.
//!
//! It is the one that `MPFORK_TEST_PYTHON` tells. Without that variable a virtual environment is made
//! in the build's own folder, once, by the `python3` that is found; that asks a package index.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter to use instead of one in an environment of the tests' own.
pub const PYTHON: &str = "MPFORK_TEST_PYTHON";

const REQUIREMENTS: &str = include_str!("../../python/requirements.txt");

/// The interpreter. `folder` is where an environment may be made and kept.
///
/// # Panics
/// When there is none and none can be made.
#[must_use]
pub fn interpreter(folder: &Path) -> PathBuf {
    if let Some(python) = std::env::var_os(PYTHON) {
        return python.into();
    }
    let (environment, made) = (folder.join("python"), folder.join("python.txt"));
    let lock = File::create(folder.join("python.lock")).unwrap();
    lock.lock().unwrap();
    if std::fs::read_to_string(&made).is_ok_and(|with| with == REQUIREMENTS) {
        return environment.join("bin/python");
    }
    let list = folder.join("python-requirements.txt");
    std::fs::write(&list, REQUIREMENTS).unwrap();
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment));
    let python = environment.join("bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&list));
    std::fs::write(made, REQUIREMENTS).unwrap();
    python
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {HELP}"));
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(
        output.status.success(),
        "{command:?} failed; {HELP}\n{told}"
    );
}

const HELP: &str = "this test needs Python 3 with venv and pip (Debian: python3-venv) and a package \
                    index, or MPFORK_TEST_PYTHON: an interpreter that has the packages of \
                    tests/python/requirements.txt";
