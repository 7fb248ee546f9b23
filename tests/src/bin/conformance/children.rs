//! Processes as their parent sees them, and as they see themselves and their parent.

use super::common::{context, eventually, fifo, hang_at, hanging, lives, say_error};
use mpfork::{
    Context, Error, OnOwnerDeath, Process, active_children, current_process, parent_process,
};
use mpfork_sys::fork::{Forked, fork};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) fn have_pids(ctx: &Context) {
    let (mut process, gate) = hanging(ctx);
    assert!(process.is_alive() && lives(process.pid()));
    assert_eq!(process.start_method(), ctx.start_method());
    std::fs::write(gate, "").unwrap();
    process.join(None).unwrap();
    assert!(!process.is_alive());
    let call = ctx.spawn(std::process::id, ()).unwrap();
    let pid = call.process().pid();
    assert_eq!(i64::from(call.join().unwrap()), i64::from(pid));
    assert_ne!(i64::from(pid), i64::from(std::process::id()));
}

pub(crate) fn know_themselves(ctx: &Context) {
    let me = current_process();
    assert_eq!((me.name.as_str(), me.worker), ("MainProcess", None));
    assert_eq!(me.pid, std::process::id());
    let know = || {
        let me = current_process();
        let method = mpfork::get_start_method(true).unwrap();
        (me.name, me.pid, me.worker.is_some(), method.to_string())
    };
    let call = ctx.spawn(know, ()).unwrap();
    let (name, pid) = (call.process().name().to_owned(), call.process().pid());
    let method = ctx.start_method().to_string();
    let expected = (name, u32::try_from(pid).unwrap(), true, method);
    assert_eq!(call.join().unwrap(), expected);
}

pub(crate) fn count_the_cpus(ctx: &Context) {
    let own = mpfork::cpu_count().unwrap();
    assert!(own >= 1 && ctx.cpu_count().unwrap() == own);
    let count = || mpfork::cpu_count();
    assert_eq!(ctx.spawn(count, ()).unwrap().join().unwrap(), own);
}

fn pids() -> Vec<i32> {
    active_children().iter().map(Process::pid).collect()
}

pub(crate) fn are_listed(ctx: &Context) {
    assert!(active_children().is_empty());
    let gates: Vec<_> = (0..3).map(|_| fifo()).collect();
    let builder = ctx.process(hang_at, gates[0].clone()).name("first");
    let mut first = builder.start().unwrap();
    let second = ctx.process(hang_at, gates[1].clone()).daemon(true);
    let second = second.start().unwrap();
    let called = ctx.spawn(hang_at, gates[2].clone()).unwrap();
    let started = [first.pid(), second.pid(), called.process().pid()];
    assert_eq!(pids(), started);
    // Also those whose object is gone, and the same processes at that.
    drop((second, called));
    let mut again = active_children();
    assert_eq!(pids(), started);
    assert_eq!((again[0].name(), again[0].id()), ("first", first.id()));
    assert!(again[1].daemon() && !again[2].daemon());
    again[0].kill().unwrap();
    assert_eq!(first.join(None).unwrap().unwrap().exitcode(), -9);
    assert_eq!(again[0].exitcode(), Some(-9));
    assert_eq!(pids(), started[1..]);
    for process in again.iter_mut().skip(1) {
        process.kill().unwrap();
        // Ended, and not joined yet.
        eventually("it ends", || (!process.is_alive()).then_some(()));
        assert!(!pids().contains(&process.pid()));
        process.join(None).unwrap();
    }
    assert!(active_children().is_empty() && ctx.active_children().is_empty());
}

/// Those that nobody joins do not add up, as zombies or otherwise.
pub(crate) fn that_nobody_joins(ctx: &Context) {
    for _ in 0..100 {
        ctx.process(|| (), ()).start().unwrap();
    }
    for mut process in active_children() {
        process.join(None).unwrap();
    }
    assert!(active_children().is_empty());
}

/// Dropping the object leaves the process running, and other starts do not end it either.
pub(crate) fn dropped(ctx: &Context) {
    let (process, gate) = hanging(ctx);
    let pid = process.pid();
    drop(process);
    ctx.spawn(|| (), ()).unwrap().join().unwrap();
    assert!(lives(pid));
    std::fs::write(gate, "").unwrap();
    for mut process in active_children() {
        assert!(process.join(None).unwrap().unwrap().success());
    }
    assert!(!lives(pid));
}

/// A forked child has none, and waits for none.
pub(crate) fn are_not_a_forked_childs(ctx: &Context) {
    let (mut process, gate) = hanging(ctx);
    match fork().unwrap() {
        Forked::Child => {
            let none = active_children().is_empty();
            #[allow(clippy::exit)] // with the handlers it has from its parent
            std::process::exit(i32::from(!none));
        }
        Forked::Parent(child) => {
            let child = Pid::from_raw(child);
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
    assert_eq!(pids(), [process.pid()]);
    std::fs::write(gate, "").unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
}

/// Starts a process that waits at the gate, and returns, or ends otherwise.
fn leave_one_at(gate: PathBuf, how: String, gone: PathBuf) -> i32 {
    let pid = context().process(hang_at, gate).start().unwrap().pid();
    std::fs::write(gone, "").unwrap();
    match how.as_str() {
        #[allow(clippy::exit)] // it is what is tested
        "exit" => std::process::exit(7),
        "panic" => panic!("as it was told to"),
        _ => pid,
    }
}

/// A worker that comes to its end waits for what it started.
pub(crate) fn of_children(ctx: &Context) {
    for (how, code) in [("return", 0), ("exit", 7), ("panic", 1)] {
        let (gate, gone) = (fifo(), std::env::current_dir().unwrap().join(how));
        let arguments = (gate.clone(), how.to_owned(), gone.clone());
        let mut worker = ctx.spawn(leave_one_at, arguments).unwrap();
        eventually("it has started one", || gone.exists().then_some(()));
        // Were it not to wait, it would end about now.
        let brief = Some(Duration::from_millis(50));
        assert_eq!(worker.process_mut().join(brief).unwrap(), None, "{how}");
        std::fs::write(gate, "").unwrap();
        worker.process_mut().join(None).unwrap();
        assert_eq!(worker.process().exitcode(), Some(code), "{how}");
    }
}

/// Name, pid and life of the parent.
fn look_up() -> (String, i32, bool) {
    let parent = parent_process().unwrap();
    assert!(parent.sentinel().is_some());
    assert!(!parent.join(Some(Duration::ZERO)));
    (parent.name().to_owned(), parent.pid(), parent.is_alive())
}

/// The same from a worker's worker, and that its parent is this process.
fn look_up_below() -> (String, i32, bool) {
    let seen = context().spawn(look_up, ()).unwrap().join().unwrap();
    assert_eq!(seen.1, std::process::id().cast_signed());
    seen
}

pub(crate) fn know_their_parent(ctx: &Context) {
    assert!(parent_process().is_none() && ctx.parent_process().is_none());
    let own = std::process::id().cast_signed();
    let seen = ctx.spawn(look_up, ()).unwrap().join().unwrap();
    assert_eq!(seen, ("MainProcess".to_owned(), own, true));
    let handle = ctx.spawn(look_up_below, ()).unwrap();
    let (name, pid) = (handle.process().name().to_owned(), handle.process().pid());
    assert_eq!(handle.join().unwrap(), (name, pid, true));
}

fn try_to_start() -> Result<(), Vec<Error>> {
    let ctx = context();
    let started = [
        ctx.process(|| (), ()).start().map(drop),
        ctx.spawn(|| (), ()).map(drop),
        ctx.process_main(["x"]).start().map(drop),
    ];
    Err(started.into_iter().filter_map(Result::err).collect())
}

/// A daemonic process may not have any, as in Python.
pub(crate) fn of_a_daemonic_process(ctx: &Context) {
    let tries = || {
        let errors = try_to_start().unwrap_err();
        assert_eq!(errors.len(), 3);
        errors.iter().for_each(say_error);
    };
    let mut process = ctx.process(tries, ()).daemon(true).start().unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
}

/// Runs until its gate is opened, and tells whether its parent is there then.
fn outlive(gate: PathBuf, runs: PathBuf) -> std::io::Result<()> {
    std::fs::write(&runs, "runs")?;
    hang_at(gate)?;
    let parent = parent_process().is_some_and(|parent| parent.is_alive());
    // At once, so that who waits for it never sees the half of it.
    std::fs::write("new", format!("goes on, parent there: {parent}"))?;
    std::fs::rename("new", runs)
}

/// The program is not waiting for what is to outlive it. A forked child is the program here, so that
/// this process can look at what it leaves.
pub(crate) fn that_outlive_the_program(ctx: &Context) {
    for how in ["kept", "detached"] {
        let (gate, runs) = (fifo(), std::env::current_dir().unwrap().join(how));
        match fork().unwrap() {
            Forked::Child => {
                let builder = ctx.process(outlive, (gate, runs.clone()));
                let builder = match how {
                    "kept" => builder.on_owner_death(OnOwnerDeath::Keep),
                    _ => builder.detached(),
                };
                let started = builder.start();
                eventually("it runs", || runs.exists().then_some(()));
                #[allow(clippy::exit)] // with the handlers of a program
                std::process::exit(i32::from(started.is_err()));
            }
            Forked::Parent(child) => {
                let child = Pid::from_raw(child);
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
        }
        std::fs::write(gate, "").unwrap();
        let told = eventually("it goes on", || {
            std::fs::read_to_string(&runs)
                .ok()
                .filter(|told| told != "runs")
        });
        println!("{how} {told}");
    }
}
