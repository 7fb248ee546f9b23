//! Hooks.

use super::context;
use super::preloads::{fault, note};
use mpfork::{Error, FailureKind, Reason};
use std::io::Result;

// Each second hook stands before the first one: what counts is what they declare.
mpfork::before_fork!(before_second, after = ["before-first"]);
mpfork::before_fork!(before_first, name = "before-first");
mpfork::after_fork!(after_second, after = ["after-first"]);
mpfork::after_fork!(after_first, name = "after-first");
mpfork::at_worker_exit!(exit_second, after = ["exit-first"]);
mpfork::at_worker_exit!(exit_first, name = "exit-first");

fn hook(name: &str) -> Result<()> {
    note(name)?;
    if fault() == name {
        return Err(std::io::Error::other("not today"));
    }
    Ok(())
}

fn before_first() -> Result<()> {
    hook("before 1")
}

fn before_second() -> Result<()> {
    if fault() == "unfinished" {
        print!("unfinished");
    }
    hook("before 2")
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
    note("work")?;
    match how.as_str() {
        "panic" => panic!("as it was told to"),
        "error" => Err(std::io::Error::other("as it was told to")),
        "exit" => {
            print!("no line break");
            leave(4)
        }
        _ => Ok(()),
    }
}

#[allow(clippy::exit)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// A worker that ends this way; the notes tell which hooks ran.
pub(crate) fn around(how: &str) {
    let mut process = context().process(work, how.to_owned()).start().unwrap();
    process.join(None).unwrap();
    let code = match how {
        "end" => 0,
        "exit" => 4,
        _ => 1,
    };
    assert_eq!(process.exitcode(), Some(code));
}

/// The hook that `USER_FAULT` names fails.
pub(crate) fn failing(which: &str) {
    let called = context().spawn(|| 1, ()).and_then(mpfork::Handle::join);
    match (which, called.unwrap_err()) {
        ("before", Error::Server(problem)) => {
            assert_eq!(problem.reason, Reason::HookFailed);
            assert_eq!(problem.get("hook"), "before_second");
            assert!(problem.to_string().contains("not today"), "{problem}");
        }
        ("after" | "exit", Error::Worker(error)) => {
            let failure = error.failure.as_ref().unwrap();
            assert_eq!(failure.kind, FailureKind::Hook);
            assert!(failure.to_string().contains("not today"), "{failure}");
            let name = format!("{which}-first");
            assert!(failure.to_string().contains(&name), "{failure}");
            assert_eq!(error.exit.exitcode(), 1);
        }
        (_, other) => panic!("{other:?}"),
    }
}
