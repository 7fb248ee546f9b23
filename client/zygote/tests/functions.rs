//! Functions: by name and offset, arguments and results, and every way to end.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PROBE, Start, Zygote, read_all};
use mpfork_proto::exit::Ended;
use mpfork_proto::link::assigned_task::function::Target;
use mpfork_proto::link::{Assignment, assigned_task};
use mpfork_proto::v1::failure::Kind;
use mpfork_zygote::payload;
use std::os::fd::AsFd as _;

#[test]
fn by_name_and_by_offset() {
    let mut zygote = Zygote::ready(&[], &[]);
    assert_eq!(zygote.text(Start::function("echo", b"abc")), "abc");
    let offset = std::process::Command::new(PROBE)
        .arg("offset")
        .output()
        .unwrap();
    let offset: u64 = String::from_utf8(offset.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_ne!(offset, 0);
    assert_eq!(
        zygote.text(Start::target(Target::Offset(offset), b"abc")),
        "cba"
    );
    for (target, why) in [
        (Target::Offset(offset + 1), "no function at offset"),
        (Target::Offset(0), "no function at offset"),
        (
            Target::Name("none".to_owned()),
            "no function is registered as `none`",
        ),
        (
            Target::Name("twice".to_owned()),
            "two functions are registered as `twice`: ",
        ),
    ] {
        let outcome = zygote.run(Start::target(target, b"x"));
        assert_eq!(outcome.code(), 126);
        let failed = outcome.start_failed();
        assert_eq!(failed.what, "function");
        assert!(failed.message.contains(why), "{failed:?}");
    }
}

#[test]
fn arguments_and_results_of_all_sizes() {
    let mut zygote = Zygote::ready(&[], &[]);
    for size in [
        1,
        payload::MAX_INLINE_BYTES,
        payload::MAX_INLINE_BYTES + 1,
        3_000_000,
    ] {
        let argument: Vec<u8> = (0..size).map(|n| u8::try_from(n % 253).unwrap()).collect();
        let mut worker = zygote.start(Start::function("echo", b""));
        let channel = worker.channel.take().unwrap();
        payload::write(channel.as_fd(), &argument).unwrap();
        worker.channel = Some(channel);
        assert!(worker.value().unwrap() == argument, "{size}");
        assert_eq!(zygote.exited(&worker).status, Some(0));
    }
    // A result nobody waits for is no failure.
    let mut worker = zygote.start(Start::function("huge", b"12345"));
    worker.channel = None;
    assert_eq!(worker.reports().len(), 1);
    assert_eq!(zygote.exited(&worker).status, Some(0));
    // No channel at all.
    let mut start = Start::function("echo", b"x");
    start.descriptors.clear();
    if let assigned_task::Task::Function(function) = &mut start.task {
        function.channel = None;
    }
    assert_eq!(zygote.run(start).code(), 0);
}

#[test]
fn a_bad_argument_is_told() {
    let mut zygote = Zygote::ready(&[], &[]);
    let mut worker = zygote.start(Start::function("echo", b""));
    worker.channel = None;
    let reports = worker.reports();
    let outcome = common::Outcome {
        value: None,
        reports,
        exited: zygote.exited(&worker),
        pid: worker.pid,
    };
    assert_eq!(outcome.failure().kind(), Kind::Argument);
    assert!(outcome.failure().message.contains("ended before"));
    assert_eq!(outcome.code(), 1);
}

#[test]
fn panics_are_printed_and_told() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (start, output) = Start::function("panic", b".").piped();
    let outcome = zygote.run(start);
    assert_eq!(outcome.code(), 1);
    assert!(outcome.value.is_none());
    let failure = outcome.failure();
    assert_eq!(failure.kind(), Kind::Panic);
    assert_eq!(failure.message, "worker panics");
    assert!(failure.location.contains("functions.rs:"), "{failure:?}");
    assert_eq!(failure.backtrace, "");
    let output = read_all(output);
    assert_eq!(output.matches("worker panics").count(), 1, "{output}");
    assert!(output.ends_with("<exit 1><exit 2>\n"), "{output}");

    let outcome = zygote.run(Start::function("panic", b".").set("RUST_BACKTRACE", "1"));
    assert!(outcome.failure().backtrace.contains("functions"));
    let outcome = zygote.run(Start::function("panic-any", b"."));
    assert!(outcome.failure().message.contains("no text"));
}

#[test]
fn errors_are_printed_with_their_chain_and_told() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (start, output) = Start::function("fail", b".").piped();
    let outcome = zygote.run(start);
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.value.as_deref(), Some(b"typed".as_slice()));
    let failure = outcome.failure();
    assert_eq!(failure.kind(), Kind::Error);
    assert_eq!(failure.message, "outer");
    assert_eq!(failure.chain, ["middle", "inner"]);
    assert_eq!(
        read_all(output),
        "Error: outer\n\nCaused by:\n    0: middle\n    1: inner\n<exit 1><exit 2>\n"
    );
}

#[test]
fn codes_signals_and_output() {
    let mut zygote = Zygote::ready(&["PROBE_VALUE=1"], &["second"]);
    assert_eq!(zygote.run(Start::function("code", &[0])).code(), 0);
    assert_eq!(zygote.run(Start::function("code", &[255])).code(), 255);
    let outcome = zygote.run(Start::function("abort", b"."));
    let ended = Ended::from_raw(outcome.status());
    assert!(
        matches!(ended, Ended::Signal { signal: 6, .. }),
        "{ended:?}"
    );
    assert!(outcome.exited.rusage.unwrap().max_rss_bytes > 0);

    let (start, output) = Start::function("print", b".").piped();
    assert_eq!(zygote.run(start).code(), 0);
    // Nothing of what the preloads printed.
    assert_eq!(read_all(output), "a line\nno line<exit 1><exit 2>\n");

    let (start, output) = Start::function("exit", &[42]).piped();
    let outcome = zygote.run(start);
    assert_eq!(outcome.code(), 42);
    assert_eq!(outcome.reports.len(), 1);
    assert_eq!(read_all(output), "before exit<exit 1><exit 2>\n");
    assert_eq!(zygote.finish(), "<first>");
}

#[test]
fn main_goes_on_in_a_worker() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (start, output) = Start::main(&["a", "b"]).piped();
    assert_eq!(zygote.run(start).code(), 0);
    assert_eq!(
        read_all(output),
        "w runs main with [\"a\", \"b\"]<exit 1><exit 2>\n"
    );
    assert_eq!(zygote.run(Start::main(&["code", "7"])).code(), 7);
    let (start, output) = Start::main(&["panic"]).piped();
    let outcome = zygote.run(start);
    assert_eq!(outcome.code(), 101);
    assert_eq!(outcome.failure().message, "main panics");
    assert!(read_all(output).contains("main panics"));
}

#[test]
fn a_worker_knows_itself() {
    let mut zygote = Zygote::ready(&[], &[]);
    assert_eq!(zygote.text(Start::function("worker", b".")), "ab-1 w Fork");
    assert_eq!(
        zygote.text(Start::function("hooks", b".")),
        "before,before,first,last"
    );
}

#[test]
fn a_wrong_assignment_is_told() {
    let mut zygote = Zygote::ready(&[], &[]);
    let mut fork = |bytes: &[u8]| {
        let worker = 1000;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut control = common::Wire::new(ours);
        control.try_send(bytes, &[]).unwrap();
        control.socket.shutdown(std::net::Shutdown::Write).unwrap();
        zygote.say(
            mpfork_proto::link::supervisor_frame::Frame::Fork(mpfork_proto::link::Fork {
                worker,
                ..Default::default()
            }),
            &[theirs.as_fd()],
        );
        drop(theirs);
        let report = control.receive::<mpfork_proto::link::WorkerReport>();
        let _ = zygote.about(worker);
        match zygote.about(worker) {
            mpfork_proto::link::zygote_frame::Frame::Exited(exited) => {
                assert_eq!(exited.status, Some(126 << 8));
            }
            other => panic!("{other:?}"),
        }
        report
            .map(|report| format!("{report:?}"))
            .unwrap_or_default()
    };
    let frame = |assignment: Assignment| mpfork_proto::frame::encode(&assignment).unwrap();
    assert!(fork(b"\0\0\0\x04\xff\xff\xff\xff").contains("does not decode"));
    assert!(fork(b"\xff\xff\xff\xff").contains("over the limit"));
    assert!(fork(b"\0\0").contains("ends within a frame"));
    assert!(fork(&frame(Assignment::default())).contains("names no task"));
    let missing = Assignment {
        descriptors: 2,
        ..Assignment::default()
    };
    assert!(fork(&frame(missing)).contains("names 2 descriptors"));
    // Nobody wants it any more.
    assert_eq!(fork(b""), "");
}
