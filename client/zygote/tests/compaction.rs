//! A zygote that a fork copies little of: judged by what the kernel tells of its memory.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::{PROBE, Start, Worker, Zygote, eventually};
use mpfork_proto::link::{Compact, Preload, Ready, zygote_frame};
use mpfork_proto::v1::Compaction;
use mpfork_proto::v1::compaction::Step;
use mpfork_sys::memory;
use std::time::Duration;

const MEGABYTE: u64 = 1 << 20;
/// So much the preload takes.
const HEAP: u64 = 96 * MEGABYTE;

const WISHES: Compact = Compact {
    time_limit: Some(prost_types::Duration {
        seconds: 60,
        nanos: 0,
    }),
    collapse: true,
};

/// Whether this machine makes huge pages of memory that is there.
fn collapses() -> bool {
    let probed = memory::probe_collapse();
    if let Err(error) = &probed {
        eprintln!("not here: the kernel makes no huge pages: {error}");
    }
    probed.is_ok()
}

/// Which memory gets huge pages by itself: `always`, `madvise` or `never`.
fn by_itself() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if status.lines().any(|line| line == "THP_enabled:\t0") {
        return "never".to_owned();
    }
    let mode = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let mode = mode.unwrap_or_default();
    let (_, mode) = mode.split_once('[').unwrap_or_default();
    mode.split(']').next().unwrap().to_owned()
}

/// Private bytes, and those in huge pages, of a process.
fn memory_of(pid: i32) -> (u64, u64) {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let value = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    };
    (value("Anonymous:"), value("AnonHugePages:"))
}

fn launch(
    env: &[&str],
    huge_pages: bool,
    names: &[&str],
    wishes: Option<Compact>,
) -> (Zygote, Ready) {
    let mut zygote = Zygote::launch_with(PROBE, env, huge_pages);
    zygote.greet();
    let (_, ready) = zygote.preload_with(Preload {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        compact: wishes,
        ..Preload::default()
    });
    (zygote, ready.unwrap())
}

/// One with a heap worth compacting.
fn with_heap(env: &[&str], wishes: Option<Compact>) -> (Zygote, Compaction) {
    let env = [&["PROBE_HEAP_MB=96"], env].concat();
    let (zygote, ready) = launch(&env, false, &["heap"], wishes);
    (zygote, ready.compaction.unwrap())
}

fn step<'a>(compaction: &'a Compaction, name: &str) -> &'a Step {
    let mut steps = compaction.steps.iter();
    steps
        .find(|step| step.name == name)
        .unwrap_or_else(|| panic!("{compaction:?}"))
}

fn time(duration: Option<prost_types::Duration>) -> Duration {
    duration.unwrap().try_into().unwrap()
}

/// One that stays until its input ends.
fn waiting(zygote: &mut Zygote) -> (Worker, std::io::PipeWriter) {
    let (read, write) = std::io::pipe().unwrap();
    let worker = zygote.start(Start::function("wait", &[0]).place(read, 0));
    (worker, write)
}

#[test]
fn what_is_preloaded_moves_into_huge_pages_and_a_fork_takes_less() {
    if !collapses() {
        return;
    }
    let (mut zygote, compaction) = with_heap(&[], Some(WISHES));
    assert_eq!(compaction.skipped, "");
    assert!(compaction.anonymous_bytes_before > HEAP, "{compaction:?}");
    assert!(compaction.huge_bytes > HEAP * 9 / 10, "{compaction:?}");
    let names: Vec<&str> = compaction
        .steps
        .iter()
        .map(|step| step.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["malloc", "trim", "plug", "arena", "advise", "collapse"]
    );
    assert_eq!(step(&compaction, "collapse").why, "");
    assert!(step(&compaction, "collapse").bytes > HEAP * 9 / 10);
    if cfg!(target_env = "gnu") {
        assert!(
            step(&compaction, "plug").bytes > HEAP / 50,
            "{compaction:?}"
        );
        assert!(
            step(&compaction, "arena").bytes > MEGABYTE,
            "{compaction:?}"
        );
    }
    if by_itself() != "always" {
        assert_eq!(compaction.huge_bytes_before, 0);
        let (before, after) = (compaction.fork_before, compaction.fork_after);
        assert!(time(after) * 2 < time(before), "{compaction:?}");
    }
    let (anonymous, huge) = memory_of(zygote.pid);
    assert_eq!(huge, compaction.huge_bytes);
    assert!(
        anonymous < compaction.anonymous_bytes_before + HEAP / 20,
        "{anonymous} {compaction:?}"
    );
    // Its workers work.
    assert_eq!(zygote.text(Start::function("echo", b"x")), "x");
}

const TUNABLES: &str = "GLIBC_TUNABLES";

#[test]
fn nobody_sees_what_malloc_was_told() {
    for own in [
        None,
        Some(""),
        Some("glibc.malloc.tcache_count=7"),
        Some("glibc.malloc.hugetlb=0"),
    ] {
        let own = own.map(|value| format!("{TUNABLES}={value}"));
        let mut env = vec!["A=1"];
        env.extend(own.as_deref());
        let (mut zygote, _) = launch(&env, true, &["tunables"], Some(WISHES));
        let seen = zygote.text(Start::function("env", b"."));
        let seen: Vec<&str> = seen.lines().collect();
        assert_eq!(seen, env, "what a function sees");
        let (start, output) = Start::command("/usr/bin/env", &[]).piped();
        zygote.run(start);
        let command = common::read_all(output);
        let command: Vec<&str> = command.lines().collect();
        assert_eq!(command, env, "what a command sees");
        let preload = zygote.text(Start::function("tunables", b"."));
        let value = own.as_deref();
        let value = value.map_or("none", |own| &own[TUNABLES.len() + 1..]);
        assert_eq!(preload, value, "what a preload sees");
    }
}

#[test]
fn malloc_uses_huge_pages_from_the_start_unless_the_user_says_otherwise() {
    if by_itself() != "madvise" || cfg!(not(target_env = "gnu")) {
        eprintln!("not here: malloc's advice makes no difference");
        return;
    }
    let huge_before = |own: &str| {
        let own = format!("{TUNABLES}={own}");
        let env = ["PROBE_HEAP_MB=96", &own];
        let (_zygote, ready) = launch(&env, true, &["heap"], Some(WISHES));
        ready.compaction.unwrap().huge_bytes_before
    };
    // The GNU C library 2.36 compares what it has read with a text and does not end it: now and then it
    // takes the system's mode for another one.
    let told = (0..12).find(|_| huge_before("glibc.malloc.tcache_count=7") > HEAP / 2);
    assert!(told.is_some(), "malloc was not told");
    assert_eq!(huge_before("glibc.malloc.hugetlb=0"), 0);
}

#[test]
fn it_is_done_only_when_asked_for() {
    let (zygote, compaction) = with_heap(&[], None);
    assert_eq!(compaction.skipped, "switched off");
    assert!(compaction.steps.is_empty());
    if by_itself() != "always" {
        assert_eq!(memory_of(zygote.pid).1, 0);
    }
}

#[test]
fn a_little_memory_is_left_alone() {
    let (_zygote, ready) = launch(&["PROBE_VALUE=1"], false, &["second"], Some(WISHES));
    let compaction = ready.compaction.unwrap();
    assert!(
        compaction.skipped.contains("little memory"),
        "{compaction:?}"
    );
    assert!(compaction.steps.is_empty() && compaction.fork_before.is_none());
}

#[test]
fn what_may_not_or_can_not_be_done_in_time_is_told() {
    let switched_off = Compact {
        collapse: false,
        ..WISHES
    };
    let no_time = Compact {
        time_limit: None,
        ..WISHES
    };
    for (wishes, why) in [(switched_off, "switched off"), (no_time, "time limit")] {
        let (mut zygote, compaction) = with_heap(&[], Some(wishes));
        let collapse = step(&compaction, "collapse");
        assert!(collapse.why.contains(why), "{compaction:?}");
        assert_eq!(collapse.bytes, 0);
        // Looking for what to move takes time, too: there may be terabytes of addresses.
        let looked = &step(&compaction, "advise").why;
        assert_eq!(looked.is_empty(), !wishes.collapse, "{compaction:?}");
        if by_itself() != "always" {
            assert_eq!(compaction.huge_bytes, 0);
            // malloc was not told here.
            let malloc = step(&compaction, "malloc");
            assert!(malloc.bytes == 0 && !malloc.why.is_empty(), "{malloc:?}");
        }
        if cfg!(target_env = "gnu") {
            let arena = step(&compaction, "arena");
            assert_eq!(arena.bytes > 0, !wishes.collapse, "{arena:?}");
            assert_eq!(arena.why.contains(why), wishes.collapse, "{arena:?}");
        }
        assert_eq!(zygote.text(Start::function("echo", b"x")), "x");
    }
}

#[test]
fn what_is_sparse_stays_sparse() {
    if by_itself() == "always" {
        eprintln!("not here: nothing is sparse where all memory is in huge pages");
        return;
    }
    let env = ["PROBE_HEAP_MB=96", "PROBE_SPARSE_MB=1024"];
    let (zygote, ready) = launch(&env, false, &["heap", "sparse"], Some(WISHES));
    let compaction = ready.compaction.unwrap();
    let grown = memory_of(zygote.pid)
        .0
        .saturating_sub(compaction.anonymous_bytes_before);
    assert!(grown < 8 * MEGABYTE, "{grown} {compaction:?}");
}

/// A kilobyte figure of a process, in bytes.
fn status(pid: i32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse::<u64>().unwrap() * 1024
}

/// What is only addresses counts too, where a worker has a limit of them, or the system promises no more
/// than it has.
#[test]
fn it_takes_few_addresses() {
    let (plain, _) = with_heap(&[], None);
    let (compact, _) = with_heap(&[], Some(WISHES));
    let (plain, compact) = (status(plain.pid, "VmData"), status(compact.pid, "VmData"));
    // The arena takes some.
    assert!(compact < plain + 10 * MEGABYTE, "{plain} {compact}");
}

/// Where its stack may grow for ever, a program's mappings lie below its heap.
#[test]
fn it_is_done_whichever_way_memory_is_laid_out() {
    let script = "ulimit -s unlimited 2>/dev/null; exec \"$0\" \"$@\"";
    let argv = ["sh", "-c", script, PROBE];
    let mut zygote = Zygote::launch_as("/bin/sh", &argv, &["PROBE_HEAP_MB=96"], false);
    zygote.greet();
    let (_, ready) = zygote.preload_with(Preload {
        names: vec!["heap".to_owned()],
        compact: Some(WISHES),
        ..Preload::default()
    });
    let compaction = ready.unwrap().compaction.unwrap();
    if cfg!(target_env = "gnu") {
        let plugged = step(&compaction, "plug").bytes;
        assert!((1..HEAP).contains(&plugged), "{compaction:?}");
    }
    assert!(status(zygote.pid, "VmData") < 3 * HEAP, "{compaction:?}");
    assert_eq!(zygote.text(Start::function("echo", b"x")), "x");
}

/// What a preload has freed goes back to the system, and does not come back.
#[test]
fn what_was_freed_is_given_back() {
    if by_itself() == "always" || cfg!(not(target_env = "gnu")) {
        eprintln!("not here: nothing is sparse where all memory is in huge pages");
        return;
    }
    for huge_pages in [false, true] {
        let env = ["PROBE_HOLLOW_MB=128"];
        let (mut zygote, ready) = launch(&env, huge_pages, &["hollow"], Some(WISHES));
        let compaction = ready.compaction.unwrap();
        let freed = step(&compaction, "trim").bytes;
        assert!(freed > 100 * MEGABYTE, "{compaction:?}");
        let left = memory_of(zygote.pid).0;
        let grown = (left + freed).saturating_sub(compaction.anonymous_bytes_before);
        assert!(grown < 4 * MEGABYTE, "{grown} {compaction:?}");
        assert_eq!(zygote.text(Start::function("echo", b"x")), "x");
    }
}

#[test]
fn a_hook_runs_once_before_the_first_fork() {
    let mut zygote = Zygote::ready(&["PROBE_FREEZE=notes"], &["first"]);
    for _ in 0..2 {
        let order = zygote.text(Start::function("hooks", b"."));
        assert!(order.starts_with("freeze,before"), "{order}");
        assert_eq!(order.matches("freeze").count(), 1);
    }
    drop(zygote);
    // Without anything preloaded there is nothing to freeze.
    let mut zygote = Zygote::ready(&["PROBE_FREEZE=notes"], &[]);
    assert!(
        !zygote
            .text(Start::function("hooks", b"."))
            .contains("freeze")
    );
}

#[test]
fn a_hook_that_fails_fails_the_zygote() {
    for (how, message) in [("fails", "can't freeze"), ("panics", "panicked: frozen")] {
        let mut zygote = Zygote::launch(PROBE, &[&format!("PROBE_FREEZE={how}")]);
        zygote.greet();
        let failed = zygote.preload(&["first"]).1.unwrap_err();
        assert_eq!(
            (failed.hook.as_str(), failed.preload.as_str()),
            ("freeze", "")
        );
        assert!(failed.message.starts_with(message), "{failed:?}");
    }
    let mut zygote = Zygote::launch(PROBE, &["PROBE_FREEZE=threads"]);
    zygote.greet();
    let failed = zygote.preload(&["first"]).1.unwrap_err();
    assert_eq!(failed.hook, "freeze");
    assert_eq!(failed.threads, ["thawed"]);
}

/// The loop and its workers write beside what was preloaded.
#[test]
fn thousands_of_starts_leave_it_compact() {
    if !collapses() || cfg!(not(target_env = "gnu")) {
        return;
    }
    for huge_pages in [false, true] {
        let env = ["PROBE_HEAP_MB=96"];
        let (mut zygote, ready) = launch(&env, huge_pages, &["heap"], Some(WISHES));
        let before = ready.compaction.unwrap().huge_bytes;
        let mut alive = Vec::new();
        for round in 0..2000 {
            if round % 100 == 0 {
                alive.push(waiting(&mut zygote));
            }
            assert_eq!(zygote.text(Start::function("echo", b"x")), "x");
        }
        let after = memory_of(zygote.pid).1;
        let split = before.saturating_sub(after) / (2 * MEGABYTE);
        assert!(
            split <= 2,
            "{split} huge pages of {} are split",
            before / (2 * MEGABYTE)
        );
        for (worker, input) in alive {
            drop(input);
            zygote.exited(&worker);
        }
    }
}

#[test]
fn what_writes_have_split_is_put_together_again() {
    if !collapses() {
        return;
    }
    let (mut zygote, compaction) = with_heap(&["PROBE_SCATTER=40"], Some(WISHES));
    let (worker, input) = waiting(&mut zygote);
    for _ in 0..20 {
        zygote.text(Start::function("echo", b"x"));
    }
    let split = memory_of(zygote.pid).1;
    assert!(
        split < compaction.huge_bytes - 16 * MEGABYTE,
        "{split} {compaction:?}"
    );
    // When it has nothing else to do.
    let news = loop {
        match zygote.hear() {
            Some(zygote_frame::Frame::Compaction(news)) if news.times_again > 0 => break news,
            Some(_) => {}
            None => panic!("it is gone"),
        }
    };
    assert!(news.bytes_again >= 16 * MEGABYTE, "{news:?}");
    assert!(
        news.huge_bytes > compaction.huge_bytes - 8 * MEGABYTE,
        "{news:?}"
    );
    eventually("it stays so", || memory_of(zygote.pid).1 == news.huge_bytes);
    drop(input);
    zygote.exited(&worker);
}
