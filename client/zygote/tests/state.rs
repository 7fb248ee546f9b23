//! What a worker starts with, seen from inside workers.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote};
use mpfork_proto::v1::Rlimit;
use mpfork_proto::v1::env_directive::{Clear, Step};
use std::fs::File;

const NOFILE: u32 = 7;
const CORE: u32 = 4;

fn status_line(zygote: &mut Zygote, start: Start, name: &str) -> String {
    let status = zygote.text(start);
    let line = status.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("{status}"));
    line[name.len() + 1..].trim().to_owned()
}

fn status() -> Start {
    Start::function("read", b"/proc/self/status")
}

#[test]
fn without_a_state_it_is_the_zygotes_and_a_group_of_its_own() {
    let mut zygote = Zygote::ready(&["A=1", "B=2"], &[]);
    assert_eq!(zygote.text(Start::function("cwd", b".")), "/");
    // The marker is gone.
    assert_eq!(zygote.text(Start::function("env", b".")), "A=1\nB=2");
    let outcome = zygote.run(Start::function("read", b"/proc/self/stat"));
    let applied = outcome.applied();
    assert_eq!((applied.pid, applied.not_applied.len()), (outcome.pid, 0));
    let stat = String::from_utf8(outcome.value.unwrap()).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // Parent, group, session.
    let expected = [zygote.pid, outcome.pid, zygote.pid].map(|pid| pid.to_string());
    assert_eq!(fields[1..4], expected);
    let null = "/dev/null";
    let descriptors = zygote.text(Start::function("descriptors", b"."));
    let lines: Vec<&str> = descriptors.lines().collect();
    assert_eq!(
        lines[..3],
        [
            format!("0 {null}"),
            format!("1 {null}"),
            format!("2 {null}")
        ]
    );
    // Its own socket and the channel.
    assert_eq!(lines.len(), 5, "{descriptors}");
    assert!(lines[3..].iter().all(|line| line.contains("socket:")));
    assert_eq!(
        status_line(&mut zygote, status(), "SigBlk:"),
        "0000000000000000"
    );
}

#[test]
fn what_is_inherited_is_not_told_where_a_hook_may_change_it() {
    let mut zygote = Zygote::launch(common::PROBE, &["A=1"]);
    zygote.greet();
    assert_eq!(zygote.preload(&[]).1.unwrap().inherited, None);
}

#[test]
fn working_directory() {
    let mut zygote = Zygote::ready(&[], &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let by_path = Start::function("cwd", b".")
        .state(|state| state.cwd_path = Some(path.to_str().unwrap().into()));
    assert_eq!(zygote.text(by_path), path.to_str().unwrap());

    let mut by_descriptor =
        Start::function("cwd", b".").state(|state| state.cwd_path = Some(b"/nowhere".to_vec()));
    by_descriptor.state.cwd = Some(by_descriptor.add(File::open(&path).unwrap()));
    assert_eq!(zygote.text(by_descriptor), path.to_str().unwrap());

    let nowhere =
        Start::function("cwd", b".").state(|state| state.cwd_path = Some(b"/nowhere".to_vec()));
    let outcome = zygote.run(nowhere);
    assert_eq!(outcome.code(), 126);
    let failed = outcome.start_failed();
    assert_eq!(
        (failed.what.as_str(), failed.errno),
        ("working directory", 2)
    );
    assert!(outcome.value.is_none());
}

#[test]
fn environment_steps() {
    let mut zygote = Zygote::ready(&["A=1", "B=2"], &[]);
    let env = |start: Start, zygote: &mut Zygote| zygote.text(start);
    let start = || Start::function("env", b".");
    assert_eq!(
        env(start().set("C", "3").set("A", "9"), &mut zygote),
        "A=9\nB=2\nC=3"
    );
    assert_eq!(
        env(start().env(Step::Remove(b"A".to_vec())), &mut zygote),
        "B=2"
    );
    let cleared = start()
        .set("X", "1")
        .env(Step::Clear(Clear {}))
        .set("Y", "=");
    assert_eq!(env(cleared, &mut zygote), "Y==");
    assert_eq!(env(start().env(Step::Clear(Clear {})), &mut zygote), "");
    let outcome = zygote.run(start().set("X=Y", "1"));
    assert_eq!(outcome.start_failed().what, "environment");
    // One worker's is not another's.
    assert_eq!(env(start(), &mut zygote), "A=1\nB=2");
}

#[test]
fn umask_nice_affinity_and_mask() {
    let mut zygote = Zygote::ready(&[], &[]);
    let masked = status().state(|state| state.umask = Some(0o027));
    assert_eq!(status_line(&mut zygote, masked, "Umask:"), "0027");
    let blocked = status().state(|state| state.blocked_signals = vec![10, 34]);
    assert_eq!(
        status_line(&mut zygote, blocked, "SigBlk:"),
        "0000000200000200"
    );
    let nice = Start::function("read", b"/proc/self/stat").state(|state| state.nice = Some(19));
    let stat = zygote.text(nice);
    assert_eq!(
        stat.rsplit(") ").next().unwrap().split(' ').nth(16),
        Some("19")
    );
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cpu = (0..1024).rev().find(|cpu| allowed.is_set(*cpu)).unwrap();
    let pinned = status().state(|state| state.affinity = vec![cpu.try_into().unwrap()]);
    assert_eq!(
        status_line(&mut zygote, pinned, "Cpus_allowed_list:"),
        cpu.to_string()
    );
    // Rust ignores SIGPIPE, and functions keep that.
    let ignored = status().state(|state| state.ignored_signals = vec![2]);
    let mask = status_line(&mut zygote, ignored, "SigIgn:");
    let mask = u64::from_str_radix(&mask, 16).unwrap();
    assert_eq!(mask, 1 << 12);
}

#[test]
fn limits() {
    let mut zygote = Zygote::ready(&[], &[]);
    let limits = |rlimits: Vec<Rlimit>| {
        Start::function("read", b"/proc/self/limits").state(move |state| state.rlimits = rlimits)
    };
    let limit = |resource, soft, hard| Rlimit {
        resource,
        soft,
        hard,
    };
    let line = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let fields: Vec<&str> = line[name.len()..].split_whitespace().collect();
        fields[..2].join(" ")
    };
    // Not everybody may have one.
    let core = mpfork_sys::limits::get(CORE).unwrap().hard.min(4096);
    let text = zygote.text(limits(vec![limit(NOFILE, 20, 100), limit(CORE, 0, core)]));
    assert_eq!(line(&text, "Max open files"), "20 100");
    assert_eq!(line(&text, "Max core file size"), format!("0 {core}"));

    // A number beyond the zygote's soft limit but within the worker's, and the other way round.
    let own = mpfork_sys::limits::get(NOFILE).unwrap();
    let mut low = Zygote::ready(&[], &[]);
    let lowered = mpfork_sys::limits::Rlimit { soft: 64, ..own };
    mpfork_sys::limits::set(low.pid, lowered).unwrap();
    let null = || File::open("/dev/null").unwrap();
    let high = Start::function("descriptors", b".")
        .state(|state| state.rlimits = vec![limit(NOFILE, 200, own.hard)])
        .place(null(), 150);
    assert!(low.text(high).contains("150 /dev/null"));
    let beyond = Start::function("descriptors", b".")
        .state(|state| state.rlimits = vec![limit(NOFILE, 20, own.hard)])
        .place(null(), 50);
    assert!(low.text(beyond).contains("50 /dev/null"));
    let outcome = low.run(Start::function("descriptors", b".").place(null(), 150));
    assert_eq!(outcome.start_failed().what, "descriptors");
    assert_eq!(outcome.start_failed().errno, 9);
}

#[test]
fn what_can_not_be_applied_is_told_and_the_start_goes_on() {
    let mut zygote = Zygote::ready(&[], &[]);
    let start = Start::function("echo", b"still").state(|state| {
        state.affinity = vec![1023];
        state.blocked_signals = vec![33, 99];
        state.rlimits = vec![
            Rlimit {
                resource: NOFILE,
                soft: 2000,
                hard: 1000,
            },
            Rlimit {
                resource: 99,
                soft: 1,
                hard: 1,
            },
        ];
    });
    let outcome = zygote.run(start);
    assert_eq!(outcome.value.as_deref(), Some(b"still".as_slice()));
    let not_applied = outcome.applied().not_applied.join("\n");
    for what in [
        "affinity to CPUs [1023]",
        "signal 33",
        "signal 99",
        "limit 7 to 2000:1000",
        "limit 99 to 1:1",
    ] {
        assert!(not_applied.contains(what), "{not_applied}");
    }
    assert_eq!(outcome.code(), 0);
    // Too far for any machine.
    let far = Start::function("echo", b"x").state(|state| state.affinity = vec![100_000]);
    assert!(zygote.run(far).applied().not_applied[0].contains("100000"));
}
