//! Preloads.

use super::context;
use mpfork::Error;
use mpfork::Reason;
use std::fs::File;
use std::io::Write as _;

/// Adds a line to the file that `USER_NOTES` names, if it does.
pub(crate) fn note(line: &str) -> std::io::Result<()> {
    let Some(path) = std::env::var_os("USER_NOTES") else {
        return Ok(());
    };
    let mut file = File::options().append(true).create(true).open(path)?;
    writeln!(file, "{line}")
}

/// What is to go wrong.
pub(crate) fn fault() -> String {
    std::env::var("USER_FAULT").unwrap_or_default()
}

mpfork::preload! {
    /// As many numbers as `USER_SIZE` says.
    static NUMBERS: Vec<usize> = load_numbers;
    name = "numbers",
    env = ["USER_NOTES", "USER_SIZE", "USER_FAULT", "USER_KEPT"],
}

fn load_numbers() -> Result<Vec<usize>, Box<dyn std::error::Error + Send + Sync>> {
    note("numbers")?;
    // Stays in the buffer of whoever loads it.
    if fault() == "unfinished" {
        print!("unfinished");
    }
    let size = std::env::var("USER_SIZE").map_or(Ok(3), |size| size.parse())?;
    Ok((0..size).collect())
}

mpfork::preload! {
    /// Holds a file open, when there is one.
    static KEPT: Option<File> = || {
        note("kept")?;
        std::env::var_os("USER_KEPT").map(File::open).transpose()
    };
    after = ["numbers", "total"],
}

mpfork::preload! {
    static TOTAL: usize = || {
        note("total")?;
        Ok::<_, std::io::Error>(NUMBERS.iter().sum())
    };
    name = "total",
    after = ["numbers"],
}

mpfork::preload! {
    pub(crate) static BROKEN: () = || match fault().as_str() {
        "broken" => Err(std::io::Error::other("there is nothing to load")),
        _ => Ok(()),
    };
    name = "broken",
}

/// Whether `numbers`, `total` and the one without a name are loaded.
pub(crate) fn loaded() -> [bool; 3] {
    [NUMBERS.is_loaded(), TOTAL.is_loaded(), KEPT.is_loaded()]
}

/// Whether the loads are there already, and what they gave.
fn look() -> (bool, usize, usize) {
    let loaded = NUMBERS.is_loaded() && TOTAL.is_loaded() && KEPT.is_loaded();
    (loaded, NUMBERS.len(), *TOTAL)
}

pub(crate) fn in_a_worker(expected: usize) {
    let ctx = context();
    for _ in 0..2 {
        let (loaded, length, total) = ctx.spawn(look, ()).unwrap().join().unwrap();
        assert!(loaded);
        assert_eq!((length, total), (expected, (0..expected).sum()));
    }
    assert!(!NUMBERS.is_loaded(), "the program itself has not used it");
}

/// Without a zygote.
pub(crate) fn lazily() {
    assert!(!NUMBERS.is_loaded() && !TOTAL.is_loaded());
    assert_eq!(TOTAL.try_get().unwrap(), &3);
    assert!(NUMBERS.is_loaded() && !KEPT.is_loaded());
    assert_eq!((NUMBERS.len(), *TOTAL), (3, 3));
    assert!(KEPT.is_none());
}

pub(crate) fn broken() {
    let error = BROKEN.try_get().unwrap_err();
    assert_eq!(error.preload(), "broken");
    assert_eq!(error.fault().message(), "there is nothing to load");
    assert!(error.to_string().contains("there is nothing to load"));
    // Not tried again.
    assert_eq!(BROKEN.try_get().unwrap_err(), error);
    assert!(std::panic::catch_unwind(|| *BROKEN).is_err());
    let Err(Error::Server(problem)) = context().spawn(look, ()) else {
        panic!("not refused");
    };
    assert_eq!(problem.reason, Reason::PreloadFailed);
    assert_eq!(problem.get("preload"), "broken");
    assert!(problem.to_string().contains("there is nothing to load"));
}
