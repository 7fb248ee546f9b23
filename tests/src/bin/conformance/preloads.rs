//! What is loaded ahead, and hooks.

use super::common::{differs, ended};
use mpfork::{Context, FailureKind};
use std::io::{Error, Result, Write as _};

mpfork::preload! {
    /// The time at which it was loaded matters, not what it is.
    static NUMBERS: Vec<usize> = || Ok::<_, Error>((0..1000).collect());
    name = "numbers",
}

mpfork::preload! {
    static TOTAL: usize = || Ok::<_, Error>(NUMBERS.iter().sum());
    name = "total",
    after = ["numbers"],
}

/// Whether it was there when the worker began, and what it gives.
fn look() -> (bool, usize) {
    (NUMBERS.is_loaded() && TOTAL.is_loaded(), *TOTAL)
}

pub(crate) fn are_there(ctx: &Context) {
    for _ in 0..2 {
        let (loaded, total) = ctx.spawn(look, ()).unwrap().join().unwrap();
        assert_eq!(total, 499_500);
        assert_eq!(loaded, differs("preloads").is_none());
        assert!(!NUMBERS.is_loaded(), "the program itself has not used it");
    }
}

mpfork::preload! {
    /// The names of the variables that it could read.
    static VARIABLES: Vec<std::ffi::OsString> = || {
        Ok::<_, Error>(std::env::vars_os().map(|(name, _)| name).collect())
    };
}

/// One that the program has, and no preload declares.
pub(crate) fn what_they_read(ctx: &Context) {
    assert!(std::env::var_os("TMPDIR").is_some());
    let seen = || VARIABLES.iter().any(|name| name == "TMPDIR");
    let seen = ctx.spawn(seen, ()).unwrap().join().unwrap();
    assert_eq!(seen, differs("variables").is_some());
}

mpfork::after_fork!(after_second, after = ["after-first"]);
mpfork::after_fork!(after_first, name = "after-first");
mpfork::at_worker_exit!(exit_second, after = ["exit-first"]);
mpfork::at_worker_exit!(exit_first, name = "exit-first");

/// Where the environment asks for it, hooks tell that they run; the one that it names fails.
fn hook(name: &str) -> Result<()> {
    if std::env::var_os("TELL_HOOKS").is_some() {
        writeln!(std::io::stdout(), "{name}")?;
    }
    match std::env::var("FAILING_HOOK") {
        Ok(failing) if failing == name => Err(Error::other("not today")),
        _ => Ok(()),
    }
}

fn after_first() -> Result<()> {
    hook("after 1")
}

fn after_second() -> Result<()> {
    hook("after 2")
}

fn exit_first() -> Result<()> {
    hook("exit 1")
}

fn exit_second() -> Result<()> {
    hook("exit 2")
}

fn work(how: String) -> Result<()> {
    println!("work");
    match how.as_str() {
        "panic" => panic!("as it was told to"),
        "error" => Err(Error::other("as it was told to")),
        #[allow(clippy::exit)] // it is what is tested
        "exit" => std::process::exit(4),
        _ => Ok(()),
    }
}

/// In their order, whatever the end.
pub(crate) fn hooks(ctx: &Context) {
    for how in ["end", "panic", "error", "exit"] {
        let process = ctx.process(work, how.to_owned()).env("TELL_HOOKS", "1");
        let (exit, out, _) = ended(process);
        println!("{how}: {exit}\n{out}");
    }
}

pub(crate) fn hooks_that_fail(ctx: &Context) {
    for which in ["after 1", "exit 1"] {
        let process = ctx.process(work, "end".to_owned());
        let (exit, ..) = ended(process.env("FAILING_HOOK", which));
        let failure = exit.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::Hook);
        println!("{exit}, {failure}");
    }
}
