//! `mpctl run` without a terminal: exit statuses, signals, owners, functions.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Daemon, Outcome, eventually, is_alive, kill, read_line, state, wait};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

const SIGUSR1: i32 = 10;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGTSTP: i32 = 20;

fn sh(daemon: &Daemon, script: &str) -> Outcome {
    daemon.run(&["run", "command", "--", "sh", "-c", script])
}

/// Starts a worker that tells its pid once it is ready for signals.
fn start(daemon: &Daemon, options: &[&str], trap: &str, script: &str) -> (Child, i32) {
    let script = format!("{trap}\necho $$\n{script}");
    let line = [&["run", "command"], options, &["--", "sh", "-c", &script]].concat();
    // In a group of its own, as a shell with job control would have it.
    let mut child = daemon.mpctl(&line).process_group(0).spawn().unwrap();
    let pid = read_line(child.stdout.as_mut().unwrap()).parse().unwrap();
    (child, pid)
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

#[test]
fn it_exits_as_the_worker_does() {
    let daemon = Daemon::start();
    let outcome = sh(&daemon, "echo out; echo err >&2; exit 3");
    assert_eq!(outcome.code(), 3);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("out\n", "err\n")
    );
    for signal in [SIGKILL, SIGTERM] {
        let outcome = sh(&daemon, &format!("kill -{signal} $$"));
        assert_eq!((outcome.signal(), outcome.stderr.as_str()), (signal, ""));
    }
    // A core of mpctl would say nothing.
    let outcome = sh(&daemon, "kill -ABRT $$");
    assert_eq!(outcome.signal(), 6);
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(
        &outcome.status
    ));

    let line = [
        "run",
        "command",
        "--time-limit",
        "100ms",
        "--",
        "sleep",
        "100",
    ];
    let outcome = daemon.run(&line);
    assert_eq!(outcome.code(), 124);
    assert_eq!(
        outcome.stderr,
        "mpctl: running sleep: timed out after 100ms, then signal 15\n"
    );
    daemon.end();
}

#[test]
fn what_can_not_be_run_has_an_exit_status_of_its_own() {
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let pipe = pipe.to_str().unwrap();
    for (line, code, says) in [
        (
            &["run", "command", "--", "/no/such/command"][..],
            127,
            "No such file",
        ),
        (&["run", "nothing"], 66, "no template \"nothing\""),
        (&["run", "command"], 64, "no command given"),
        (&["run"], 64, "required"),
        (
            &["run", "command", "--nice", "99", "--", "true"],
            64,
            "--nice",
        ),
        (
            &["run", "command", "--cwd", "/nowhere", "--", "true"],
            72,
            "/nowhere",
        ),
        (&["run", "--program", "/nowhere"], 72, "/nowhere"),
        (
            &["start", "command", "--output", "/nowhere/x", "--", "true"],
            72,
            "/nowhere/x",
        ),
        (&["run", "--program", pipe], 83, pipe),
        (&["run", "--program", "/bin/true"], 83, "freeze_support"),
        (&["wait", "1-1"], 67, "advice: see `mpctl ps --all`"),
        (&["wait", "x"], 64, "no worker id"),
        (&["signal", "1-1", "NEVER"], 64, "kill -l"),
        (&["template", "remove", "command"], 64, "built in"),
    ] {
        let outcome = daemon.run(line);
        assert_eq!(outcome.code(), code, "{line:?} {outcome:?}");
        assert!(outcome.stderr.contains(says), "{line:?} {outcome:?}");
        assert_eq!(outcome.stdout, "", "{line:?}");
    }
    daemon.end();
}

#[test]
fn the_worker_starts_with_the_state_asked_for() {
    let daemon = Daemon::start();
    let line = [
        "run",
        "command",
        "--nice",
        "19",
        "--umask",
        "027",
        "--cwd",
        "/",
        "--env",
        "A=b c",
        "--rlimit",
        "nofile=64:128",
        "--name",
        "n",
        "--",
        "sh",
        "-c",
        "nice; umask; pwd; echo $A; ulimit -n; ulimit -Hn",
    ];
    let outcome = daemon.run(&line);
    assert_eq!(outcome.stdout, "19\n0027\n/\nb c\n64\n128\n", "{outcome:?}");
    daemon.end();
}

#[test]
fn signals_are_passed_on_to_the_workers_group() {
    let daemon = Daemon::start();
    let trap = "trap 'echo got; exit 5' USR1";
    let (mut child, _) = start(&daemon, &[], trap, "while :; do sleep 0.02; done");
    kill(pid_of(&child), SIGUSR1);
    assert_eq!(read_line(child.stdout.as_mut().unwrap()), "got");
    assert_eq!(wait(&mut child).code(), Some(5));

    // The group: what the worker has started too.
    let (child, _) = start(&daemon, &[], "", "sleep 100 & wait; wait");
    kill(pid_of(&child), SIGTERM);
    let outcome = Outcome::of(child);
    assert_eq!((outcome.signal(), outcome.stderr.as_str()), (SIGTERM, ""));
    daemon.end();
}

#[test]
fn stops_and_continues_are_passed_on() {
    let daemon = Daemon::start();
    let (child, worker) = start(&daemon, &[], "", "exec sleep 100");
    kill(pid_of(&child), SIGTSTP);
    let pid = Pid::from_raw(pid_of(&child));
    eventually("mpctl is stopped", || {
        let flags = WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG;
        matches!(waitpid(pid, Some(flags)).unwrap(), WaitStatus::Stopped(..)).then_some(())
    });
    eventually("the worker is stopped", || {
        (state(worker) == Some('T')).then_some(())
    });
    kill(pid_of(&child), SIGCONT);
    eventually("the worker goes on", || {
        (state(worker) == Some('S')).then_some(())
    });
    kill(pid_of(&child), SIGTERM);
    assert_eq!(Outcome::of(child).signal(), SIGTERM);
    daemon.end();
}

#[test]
fn a_worker_ends_with_mpctl_unless_it_is_to_be_kept() {
    let daemon = Daemon::start();
    let (mut child, worker) = start(&daemon, &[], "", "exec sleep 100");
    child.kill().unwrap();
    wait(&mut child);
    eventually("the worker is ended", || (!is_alive(worker)).then_some(()));

    let trap = "trap 'echo on; exec sleep 100' USR1";
    let script = "while :; do sleep 0.02; done";
    let (mut child, worker) = start(&daemon, &["--keep"], trap, script);
    // What relays signals has learned of its worker: a start that nobody learns of is undone.
    kill(pid_of(&child), SIGUSR1);
    assert_eq!(read_line(child.stdout.as_mut().unwrap()), "on");
    child.kill().unwrap();
    wait(&mut child);
    let workers = eventually("the owner is gone", || {
        let workers = daemon.json(&["ps"]);
        let owner = &workers[0].as_object().expect("it runs")["owner_pid"];
        owner.is_null().then_some(workers)
    });
    assert!(is_alive(worker));
    let id = workers[0]["worker"].as_str().unwrap();
    assert_eq!(daemon.run(&["signal", id, "KILL"]).code(), 0);
    let outcome = daemon.run(&["wait", id]);
    assert_eq!(
        (outcome.code(), outcome.stdout.as_str()),
        (137, "signal 9 (KILL)\n")
    );
    daemon.end();
}

#[test]
fn a_worker_reads_its_standard_input_to_the_end() {
    let daemon = Daemon::start();
    let mut command = daemon.mpctl(&["run", "command", "--", "wc", "-c"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut stdin, &vec![b'x'; 1 << 20]).unwrap();
    });
    let outcome = Outcome::of(child);
    writer.join().unwrap();
    assert_eq!(outcome.stdout.trim(), "1048576");
    daemon.end();
}

#[test]
fn what_outlives_the_worker_is_killed_and_named() {
    let daemon = Daemon::start();
    let outcome = sh(&daemon, "sleep 100 >/dev/null 2>&1 & exit 4");
    assert_eq!(outcome.code(), 4);
    assert!(outcome.stderr.contains("were killed: s"), "{outcome:?}");
    daemon.end();
}
