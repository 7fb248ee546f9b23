//! What a process starts with: as if the program had executed it.

#[path = "../test-program/start_state.rs"]
mod seen;

use super::common::{differs, ended, fifo, hang_at, say_error};
use mpfork::Context;
use mpfork_sys::own_process;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use seen::report;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn first_cpu() -> u32 {
    *own_process::affinity().first().unwrap()
}

/// Makes this process's state an unusual one.
fn change_own_state() {
    std::fs::create_dir("before it was renamed").unwrap();
    std::env::set_current_dir("before it was renamed").unwrap();
    std::fs::rename("../before it was renamed", "../renamed").unwrap();
    umask(Mode::from_bits_truncate(0o151));
    setrlimit(Resource::RLIMIT_NOFILE, 321, 654).unwrap();
    let (_, most) = getrlimit(Resource::RLIMIT_CPU).unwrap();
    setrlimit(Resource::RLIMIT_CPU, 4321.min(most), most).unwrap();
    setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
    let nice = rustix::process::getpriority_process(None).unwrap();
    rustix::process::setpriority_process(None, (nice + 2).min(19)).unwrap();
    own_process::set_affinity(&[first_cpu()]).unwrap();
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR2);
    mask.add(Signal::SIGWINCH);
    mask.thread_block().unwrap();
}

fn expect_same(worker: &Value, own: &Value) {
    for part in [
        "cwd", "env", "umask", "limits", "nice", "affinity", "blocked",
    ] {
        assert_eq!(worker[part], own[part], "{part}");
    }
}

pub(crate) fn is_the_callers(ctx: &Context) {
    change_own_state();
    let own = report();
    assert!(own["cwd"].as_str().unwrap().ends_with("/renamed"));
    assert_eq!(own["blocked"].as_array().unwrap().len(), 2);
    let mut call = ctx.spawn(report, ()).unwrap();
    let exit = call.process_mut().join(None).unwrap().unwrap();
    assert_eq!(exit.not_applied(), Vec::<String>::new());
    let pid = call.process().pid();
    let worker = call.join().unwrap();
    expect_same(&worker, &own);
    // A process group of its own.
    assert_eq!(
        (&worker["pid"], &worker["group"]),
        (&pid.into(), &pid.into())
    );
    match differs("session") {
        Some(_) => assert_eq!(worker["session"], own["session"]),
        None => assert_ne!(worker["session"], own["session"]),
    }
    assert_ne!(worker["session"], worker["pid"]);
    // The caller is as it was.
    expect_same(&report(), &own);
}

pub(crate) fn as_described(ctx: &Context) {
    let folder = std::env::current_dir().unwrap();
    std::fs::create_dir("sub").unwrap();
    let cpu = first_cpu();
    let state = |builder: mpfork::ProcessBuilder| -> Value {
        let (exit, out, _) = ended(builder);
        assert_eq!(exit.not_applied(), Vec::<String>::new());
        serde_json::from_str(&out).unwrap()
    };
    let print = || println!("{}", report());
    let builder = ctx.process(print, ());
    let builder = builder.env("ADDED", "a=b c").env("PATH", "/other");
    let builder = builder.env_remove("TMPDIR").current_dir("/");
    let builder = builder.umask(0o27).nice(19).affinity([cpu]);
    let worker = state(builder.rlimit(7, 111, 222).rlimit(4, 0, 0));
    let mut env = report()["env"].clone();
    env["ADDED"] = "a=b c".into();
    env["PATH"] = "/other".into();
    env.as_object_mut().unwrap().remove("TMPDIR");
    assert_eq!(worker["env"], env);
    assert_eq!(worker["cwd"], "/");
    assert_eq!(
        (&worker["umask"], &worker["nice"]),
        (&"0027".into(), &19.into())
    );
    assert_eq!(worker["affinity"], json!([cpu]));
    assert_eq!(worker["limits"]["nofile"], json!([111, 222]));
    assert_eq!(worker["limits"]["core"], json!([0, 0]));

    let cleared = ctx.process(print, ()).env("GONE", "1").env_clear();
    let cleared = state(cleared.env("ONLY", ""));
    assert_eq!(cleared["env"], json!({"ONLY": ""}));
    // A relative directory is relative to the caller's.
    let relative = state(ctx.process(print, ()).current_dir("sub"));
    let expected = folder.join("sub").canonicalize().unwrap();
    assert_eq!(relative["cwd"], expected.to_str().unwrap());
}

pub(crate) fn of_a_removed_directory(ctx: &Context) {
    std::fs::create_dir("gone").unwrap();
    std::env::set_current_dir("gone").unwrap();
    std::fs::remove_dir("../gone").unwrap();
    let current = || std::fs::read_link("/proc/self/cwd");
    let own = current().unwrap();
    assert_eq!(ctx.spawn(current, ()).unwrap().join().unwrap(), own);
}

pub(crate) fn with_a_large_environment(ctx: &Context) {
    let value = "v".repeat(100_000);
    let read = |names: Vec<String>| {
        for name in names {
            let value = std::env::var(&name).unwrap();
            assert_eq!(value.len(), 100_000, "{name}");
        }
    };
    let names: Vec<_> = (0..12).map(|n| format!("LARGE_{n}")).collect();
    let mut builder = ctx.process(read, names.clone());
    for name in &names {
        builder = builder.env(name, &value);
    }
    let (exit, _, err) = ended(builder);
    assert!(exit.success(), "{err}");
}

pub(crate) fn that_could_not_be_applied(ctx: &Context) {
    // More open files than the kernel allows anybody.
    let (exit, ..) = ended(ctx.process(|| (), ()).rlimit(7, 1 << 40, 1 << 40));
    assert!(exit.success());
    let [why] = exit.not_applied() else {
        panic!("{exit:?}");
    };
    // What it is instead is each machine's own affair.
    println!(
        "{}",
        why.split_once(';').map_or(why.as_str(), |(why, _)| why)
    );
}

pub(crate) fn time_limit(ctx: &Context) {
    let limit = Duration::from_millis(60);
    let builder = ctx.process(hang_at, fifo()).time_limit(limit);
    match (builder.start(), differs("time limit")) {
        (Err(error), Some(_)) => say_error(&error),
        (Ok(mut process), None) => {
            let exit = process.join(None).unwrap().unwrap();
            assert_eq!((exit.timed_out(), exit.signal()), (Some(limit), Some(15)));
            assert!(!exit.success());
            println!("{exit}");
        }
        other => panic!("{other:?}"),
    }
}

/// What the program has made of its memory is there where it is forked, and nowhere else.
pub(crate) fn of_memory(ctx: &Context) {
    static CHANGED: AtomicU32 = AtomicU32::new(1);
    CHANGED.store(2, Ordering::Relaxed);
    let read = || CHANGED.load(Ordering::Relaxed);
    let expected = differs("memory").map_or(1, |_| 2);
    assert_eq!(ctx.spawn(read, ()).unwrap().join().unwrap(), expected);
}

pub(crate) fn of_arguments(ctx: &Context) {
    let read = || std::env::args().collect::<Vec<_>>();
    let args = ctx.spawn(read, ()).unwrap().join().unwrap();
    let own = read();
    match differs("arguments") {
        Some(_) => assert_eq!(args, own),
        None => {
            let [name] = &args[..] else {
                panic!("{args:?}");
            };
            assert!(name.ends_with("conformance"), "{name}");
        }
    }
}

/// Cgroup and namespaces: nothing but mpforkd, which may be elsewhere, changes them.
pub(crate) fn of_containers(ctx: &Context) {
    fn of(process: String) -> (String, Vec<PathBuf>) {
        let folder = Path::new("/proc").join(process);
        let spaces = ["ipc", "mnt", "net", "pid", "user", "uts"];
        let spaces = spaces.map(|name| std::fs::read_link(folder.join("ns").join(name)).unwrap());
        let cgroup = std::fs::read_to_string(folder.join("cgroup")).unwrap();
        (cgroup, spaces.to_vec())
    }
    let worker = ctx.spawn(of, "self".to_owned()).unwrap();
    let whose = match differs("cgroup") {
        Some(_) => worker.process().server().pid.to_string(),
        None => "self".to_owned(),
    };
    assert_eq!(worker.join().unwrap(), of(whose));
}
