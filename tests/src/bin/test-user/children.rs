//! The processes that a process has started, and who started a process.

use super::context;
use super::owner::hang;
use mpfork::{OnOwnerDeath, Process, active_children, current_process, parent_process};

fn pids() -> Vec<i32> {
    active_children().iter().map(Process::pid).collect()
}

pub(crate) fn listed() {
    let ctx = context();
    assert!(active_children().is_empty());
    let mut first = ctx.process(hang, ()).name("first").start().unwrap();
    let second = ctx.process(hang, ()).daemon(true).start().unwrap();
    let kept = ctx.process(hang, ()).on_owner_death(OnOwnerDeath::Keep);
    let kept = kept.start().unwrap();
    let called = ctx.spawn(hang, ()).unwrap();
    let mut others = [
        ctx.process(hang, ()).detached().start().unwrap(),
        ctx.command("sleep").arg("600").start().unwrap(),
    ];
    let started = [
        first.pid(),
        second.pid(),
        kept.pid(),
        called.process().pid(),
    ];
    assert_eq!(pids(), started);
    // Also those whose object is gone, and the same processes at that.
    drop((second, kept, called));
    let mut again = active_children();
    assert_eq!(pids(), started);
    assert_eq!(again[0].name(), "first");
    assert_eq!(again[0].id(), first.id());
    assert!(again[1].daemon() && !again[2].daemon());
    again[0].kill().unwrap();
    assert_eq!(first.join(None).unwrap().unwrap().exitcode(), -9);
    assert_eq!(again[0].exitcode(), Some(-9));
    assert_eq!(pids(), started[1..]);
    for process in again.iter_mut().skip(1).chain(&mut others) {
        process.kill().unwrap();
        // Ended, and not joined yet.
        while process.is_alive() {
            std::thread::yield_now();
        }
        assert!(!pids().contains(&process.pid()));
        process.join(None).unwrap();
    }
    assert!(active_children().is_empty() && ctx.active_children().is_empty());
    // Many that nobody joins do not add up.
    for _ in 0..200 {
        ctx.process(|| (), ()).start().unwrap();
    }
    active_children().into_iter().for_each(|mut process| {
        process.join(None).unwrap();
    });
    assert!(active_children().is_empty());
}

/// Name, pid and life of the parent, and the own name.
fn look_up() -> (String, i32, bool, String) {
    let parent = parent_process().unwrap();
    assert!(parent.sentinel().is_some());
    assert!(!parent.join(Some(std::time::Duration::ZERO)));
    let own = current_process().name;
    (
        parent.name().to_owned(),
        parent.pid(),
        parent.is_alive(),
        own,
    )
}

/// The same from a worker's worker, and that its parent is this process.
fn look_up_below() -> (String, i32, bool, String) {
    let seen = context().spawn(look_up, ()).unwrap().join().unwrap();
    assert_eq!(seen.1, std::process::id().cast_signed());
    seen
}

/// Reports of the end of its parent.
fn outlive(report: String) {
    let parent = parent_process().unwrap();
    std::fs::write(&report, "waiting").unwrap();
    assert!(parent.join(None));
    assert!(!parent.is_alive());
    assert!(!parent_process().unwrap().is_alive());
    std::fs::write(report, "ended").unwrap();
}

/// Leaves a process behind that waits for the end of this one.
fn end_before(report: String) {
    let process = context().process(outlive, report.clone()).detached();
    process.start().unwrap();
    while std::fs::read(&report).unwrap_or_default() != b"waiting" {
        std::thread::yield_now();
    }
}

pub(crate) fn their_parent() {
    assert!(parent_process().is_none());
    let ctx = context();
    let own = std::process::id().cast_signed();
    let (name, pid, alive, _) = ctx.spawn(look_up, ()).unwrap().join().unwrap();
    assert_eq!((name.as_str(), pid, alive), ("MainProcess", own, true));
    let handle = ctx.spawn(look_up_below, ()).unwrap();
    let between = handle.process().name().to_owned();
    let (name, pid, alive, _) = handle.join().unwrap();
    assert_eq!((name, alive), (between, true));
    assert_ne!(pid, own);
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let text = report.to_str().unwrap().to_owned();
    ctx.spawn(end_before, text).unwrap().join().unwrap();
    while std::fs::read(&report).unwrap_or_default() != b"ended" {
        std::thread::yield_now();
    }
}
