//! Hooks that fail.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, read_all};
use mpfork_proto::link::{ForkFailed, zygote_frame};
use mpfork_proto::v1::failure::Kind;

fn fork_failed(zygote: &mut Zygote) -> ForkFailed {
    let (worker, _control) = zygote.ask(Start::function("echo", b"x"));
    match zygote.about(worker) {
        zygote_frame::Frame::ForkFailed(failed) => failed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn before_a_fork() {
    let mut zygote = Zygote::ready(&["PROBE_BEFORE_FAILS=1"], &[]);
    for _ in 0..2 {
        let failed = fork_failed(&mut zygote);
        assert_eq!(failed.hook, "before_each");
        assert_eq!(failed.message, "not now");
    }
    drop(zygote);
    let mut zygote = Zygote::ready(&["PROBE_BEFORE_PANICS=1"], &[]);
    let failed = fork_failed(&mut zygote);
    assert_eq!(failed.hook, "before_each");
    assert_eq!(failed.message, "panicked: never");
}

#[test]
fn threads_refuse_a_fork_by_name() {
    let mut zygote = Zygote::ready(&["PROBE_LATE_THREAD=1"], &[]);
    let failed = fork_failed(&mut zygote);
    assert_eq!(failed.threads, ["late"]);
    assert!(failed.message.contains("late"), "{failed:?}");
    assert_eq!(failed.hook, "");
}

#[test]
fn after_a_fork() {
    let mut zygote = Zygote::ready(&[], &[]);
    for (how, message) in [
        ("fails", "hook `last-after`: can't reopen"),
        ("panics", "hook `last-after`: can't reseed"),
    ] {
        let (start, output) = Start::function("echo", b"x").piped();
        let outcome = zygote.run(start.set("PROBE_AFTER", how));
        assert_eq!(outcome.code(), 1);
        assert!(outcome.value.is_none());
        assert_eq!(outcome.failure().kind(), Kind::Hook);
        assert_eq!(outcome.failure().message, message);
        assert!(read_all(output).contains("last-after"));
    }
    let outcome = zygote.run(Start::main(&[]).set("PROBE_AFTER", "fails"));
    assert_eq!(outcome.failure().kind(), Kind::Hook);
    assert_eq!(outcome.code(), 1);
}

#[test]
fn at_a_workers_exit() {
    let mut zygote = Zygote::ready(&[], &[]);
    let mut run = |start: Start| {
        let (start, output) = start.set("PROBE_AT_EXIT", "fails").piped();
        (zygote.run(start), read_all(output))
    };
    let (outcome, output) = run(Start::function("echo", b"x"));
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.value.as_deref(), Some(b"x".as_slice()));
    assert_eq!(outcome.failure().kind(), Kind::Hook);
    assert_eq!(outcome.failure().message, "hook `at_exit`: can't close");
    // The others run all the same.
    assert!(
        output.contains("Error: hook `at_exit`: can't close"),
        "{output}"
    );
    assert!(output.contains("<exit 2>"), "{output}");

    // What failed first is what is told; a code that tells failure stays.
    let (outcome, _) = run(Start::function("fail", b"x"));
    assert_eq!(outcome.failure().kind(), Kind::Error);
    let (outcome, _) = run(Start::function("exit", &[9]));
    assert_eq!(outcome.code(), 9);
    assert_eq!(outcome.failure().kind(), Kind::Hook);
    let (outcome, _) = run(Start::main(&[]));
    assert_eq!(outcome.code(), 1);
    let outcome = zygote.run(Start::function("echo", b"x").set("PROBE_AT_EXIT", "panics"));
    assert_eq!(outcome.failure().message, "hook `at_exit`: can't end");
}
