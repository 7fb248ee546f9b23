//! Preloading, in zygotes and in ordinary programs.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CONTRADICTION, PROBE, Start, Zygote};
use mpfork_proto::link::{Preload, zygote_frame};
use std::process::Command;

#[test]
fn preloads_come_in_order_with_progress_and_their_output_once() {
    let mut zygote = Zygote::launch(PROBE, &["PROBE_VALUE=given"]);
    zygote.greet();
    let (progress, ready) = zygote.preload(&["talkative", "second"]);
    let ready = ready.unwrap();
    let names: Vec<&str> = ready.preloads.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "talkative"]);
    assert!(ready.preloads.iter().all(|p| p.time.is_some()));
    assert!(ready.rss_bytes > 0);
    assert!(ready.kept_descriptors.is_empty(), "{ready:?}");
    let begun: Vec<_> = progress
        .iter()
        .filter(|p| p.fraction.is_none())
        .map(|p| (p.preload.as_str(), p.index, p.total))
        .collect();
    assert_eq!(
        begun,
        [("first", 0, 3), ("second", 1, 3), ("talkative", 2, 3)]
    );
    assert_eq!(progress[1].time_limit.unwrap().seconds, 30);
    let told: Vec<_> = progress.iter().filter(|p| p.fraction.is_some()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].fraction, told[0].message.as_str()),
        (Some(0.5), "half")
    );

    for _ in 0..3 {
        let order = zygote.text(Start::function("order", b"."));
        assert_eq!(order, "first,second,talkative");
    }
    assert_eq!(zygote.text(Start::function("second", b".")), "given");
    assert_eq!(zygote.finish(), "<first>");
}

#[test]
fn what_is_not_preloaded_is_loaded_by_the_worker_that_needs_it() {
    let mut zygote = Zygote::ready(&["PROBE_VALUE=1"], &["first"]);
    assert_eq!(zygote.text(Start::function("lazy", b".")), "42");
    assert_eq!(zygote.text(Start::function("order", b".")), "first");
}

#[test]
fn nothing_to_preload_is_ready_at_once() {
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet();
    let (progress, ready) = zygote.preload(&[]);
    assert!(progress.is_empty());
    assert!(ready.unwrap().preloads.is_empty());
}

#[test]
fn errors_and_panics_are_typed() {
    let fail = |env: &[&str], name| {
        let mut zygote = Zygote::launch(PROBE, env);
        zygote.greet();
        let failed = zygote.preload(&[name]).1.unwrap_err();
        assert!(!failed.bad_request);
        assert!(failed.threads.is_empty());
        (failed, zygote.finish())
    };
    let (failed, _) = fail(&[], "failing");
    assert_eq!(failed.preload, "failing");
    assert_eq!(failed.message, "the list can't be read");
    assert!(failed.trace.contains("invalid digit"), "{}", failed.trace);

    let (failed, _) = fail(&[], "second");
    assert_eq!(failed.preload, "second");
    assert!(failed.message.contains("not found"), "{}", failed.message);

    let (failed, output) = fail(&[], "panicking");
    assert_eq!(failed.message, "panicked: no way");
    assert!(failed.trace.contains("preloads.rs:"), "{}", failed.trace);
    assert!(!failed.trace.contains("stack"), "{}", failed.trace);
    // The usual message, once.
    assert_eq!(output.matches("no way").count(), 2, "{output}");

    let (failed, _) = fail(&["RUST_BACKTRACE=1"], "panicking");
    assert!(failed.trace.contains("preloads"), "{}", failed.trace);
    assert!(failed.trace.lines().count() > 5, "{}", failed.trace);

    let (failed, _) = fail(&[], "selfish");
    assert!(failed.message.contains("needed by its own load"));
}

#[test]
fn a_preload_that_leaves_a_thread_is_named_with_it() {
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet();
    let failed = zygote.preload(&["joined", "threaded"]).1.unwrap_err();
    assert_eq!(failed.preload, "threaded");
    assert_eq!(failed.threads, ["left-over"]);
}

#[test]
fn a_thread_before_freeze_support_is_told_in_place_of_a_welcome() {
    let mut zygote = Zygote::launch(PROBE, &["PROBE_EARLY_THREAD=1"]);
    match zygote.hear() {
        Some(zygote_frame::Frame::PreloadFailed(failed)) => {
            assert_eq!(failed.threads, ["too-early"]);
        }
        other => panic!("{other:?}"),
    }
    zygote.expect(3);
    assert!(zygote.finish().contains("too-early"));
}

#[test]
fn a_wrong_list_is_a_bad_request() {
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet();
    let failed = zygote.preload(&["first", "nonesuch"]).1.unwrap_err();
    assert!(failed.bad_request);
    assert!(failed.message.contains("nonesuch"), "{}", failed.message);
    drop(zygote);

    let mut zygote = Zygote::launch(CONTRADICTION, &[]);
    assert_eq!(zygote.greet().preloads.len(), 2);
    let all = Preload {
        all: true,
        ..Preload::default()
    };
    let failed = zygote.preload_with(all).1.unwrap_err();
    assert!(failed.bad_request);
    assert!(
        failed.message.contains("hen -> egg -> hen"),
        "{}",
        failed.message
    );
}

#[test]
fn descriptors_and_files_of_preloads_are_told_and_kept() {
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet();
    let ready = zygote.preload(&["keeper"]).1.unwrap();
    let [kept] = ready.kept_descriptors.as_slice() else {
        panic!("{ready:?}");
    };
    assert_eq!(kept.what, "/etc/passwd");
    let line = format!("{} /etc/passwd", kept.number);
    let descriptors = zygote.text(Start::function("descriptors", b"."));
    assert!(descriptors.lines().any(|l| l == line), "{descriptors}");

    // Its number is taken.
    let null = || std::fs::File::open("/dev/null").unwrap();
    let outcome = zygote.run(Start::function("echo", b".").place(null(), kept.number));
    assert_eq!(outcome.code(), 126);
    assert_eq!(outcome.start_failed().what, "descriptors");

    // Not in commands.
    let (start, pipe) = Start::command("/bin/sh", &["-c", "ls -l /proc/self/fd/"]).piped();
    assert_eq!(zygote.run(start.place(null(), kept.number)).code(), 0);
    let listed = common::read_all(pipe);
    assert!(!listed.contains("passwd"), "{listed}");
    assert!(listed.contains("/dev/null"), "{listed}");
}

#[test]
fn in_an_ordinary_program_preloads_are_lazy() {
    let run = |program, args: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .env("PROBE_VALUE", "v")
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let output = run(PROBE, &["lazy"]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "<first>42 Ok(\"v\") first,second,lazy,talkative");
    assert_eq!(
        lines[1],
        "preload `failing`: the list can't be read: invalid digit found in string"
    );
    assert!(lines[2].contains("`failing`, which it comes after, failed"));
    assert!(lines[3].contains("no way"), "{}", lines[3]);
    assert!(lines[4].contains("preload `failing`"), "{}", lines[4]);
    assert_eq!(lines[5..], ["true", "false false", "1000"]);

    let output = run(CONTRADICTION, &[]);
    assert!(output.contains("hen -> egg -> hen"), "{output}");
    assert!(output.ends_with("true\n"));
}
