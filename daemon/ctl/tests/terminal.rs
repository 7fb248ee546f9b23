//! `mpctl run` in front of a terminal: what is typed, shown and stopped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod common;

use common::terminal::Terminal;
use common::{Daemon, eventually, is_alive, kill, state};
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

fn run(daemon: &Daemon, script: &str) -> Terminal {
    Terminal::run(&daemon.mpctl(&["run", "command", "--", "sh", "-c", script]))
}

/// A shell with job control, as the one in front of which people sit.
fn shell(daemon: &Daemon) -> Terminal {
    let mut shell = Command::new("sh");
    shell
        .arg("-i")
        .env("PS1", "outer> ")
        .env("ENV", "")
        .env("MPCTL", env!("CARGO_BIN_EXE_mpctl"))
        .env("MPFORKD_SOCKET", daemon.socket());
    let mut terminal = Terminal::run(&shell);
    terminal.read_until("outer> ");
    terminal
}

#[test]
fn the_worker_has_a_terminal_and_its_exit_status_is_mpctls() {
    let daemon = Daemon::start();
    let mut terminal = run(
        &daemon,
        "test -t 0 && test -t 1 && test -t 2 && test -w /dev/tty && echo yes; exit 7",
    );
    terminal.read_until("yes\r\n");
    let (status, rest) = terminal.end();
    assert_eq!((status.code(), rest.as_str()), (Some(7), ""));
    daemon.end();
}

#[test]
fn ctrl_c_ends_the_worker_by_its_signal() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo ready; exec sleep 100");
    terminal.read_until("ready\r\n");
    assert!(terminal.is_raw());
    terminal.types("\x03");
    terminal.read_until("^C");
    let (status, _) = terminal.end();
    assert_eq!(status.signal(), Some(SIGINT));
    daemon.end();
}

#[test]
fn keys_are_echoed_once_and_ctrl_d_ends_the_input() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo ready; cat; echo end");
    terminal.read_until("ready\r\n");
    terminal.types("hello\n");
    // The echo, then what cat writes.
    assert_eq!(
        terminal.read_until("hello\r\nhello\r\n"),
        "hello\r\nhello\r\n"
    );
    terminal.types("\x04");
    terminal.read_until("end\r\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    daemon.end();
}

#[test]
fn the_size_of_the_window_is_the_workers() {
    let daemon = Daemon::start();
    let script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done";
    let command = daemon.mpctl(&["run", "command", "--", "sh", "-c", script]);
    let mut terminal = Terminal::sized(&command, 33, 101, |_| {});
    terminal.read_until("33 101\r\n");
    terminal.resize(44, 120);
    terminal.read_until("44 120\r\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    daemon.end();
}

#[test]
fn the_modes_are_restored_when_mpctl_is_terminated() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo ready; exec sleep 100");
    terminal.read_until("ready\r\n");
    assert!(terminal.is_raw());
    kill(terminal.pid(), SIGTERM);
    let (status, _) = terminal.end();
    assert_eq!(status.signal(), Some(SIGTERM));
    daemon.end();
}

#[test]
fn the_modes_are_restored_by_other_fatal_signals() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo ready; exec sleep 100");
    terminal.read_until("ready\r\n");
    let abort = nix::sys::signal::Signal::SIGVTALRM as i32;
    kill(terminal.pid(), abort);
    let (status, _) = terminal.end();
    assert_eq!(status.signal(), Some(abort));
    daemon.end();
}

#[test]
fn the_modes_are_restored_when_the_worker_is_killed() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo pid $$ ready; exec sleep 100");
    let line = terminal.read_until(" ready\r\n");
    let pid = line.split(' ').nth(1).unwrap().parse().unwrap();
    kill(pid, SIGKILL);
    let (status, _) = terminal.end();
    assert_eq!(status.signal(), Some(SIGKILL));
    daemon.end();
}

#[test]
fn the_modes_are_restored_when_the_daemon_dies() {
    let daemon = Daemon::start();
    let mut terminal = run(&daemon, "echo pid $$ ready; exec sleep 100");
    let line = terminal.read_until(" ready\r\n");
    let worker = line.split(' ').nth(1).unwrap().parse().unwrap();
    kill(daemon.pid(), SIGKILL);
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(70));
    assert!(rest.contains("lost mpforkd at"), "{rest}");
    // Nobody is left to end it, so it goes on; its zygote waits for it.
    if is_alive(worker) {
        kill(worker, SIGKILL);
    }
    daemon.killed();
}

#[test]
fn everything_written_is_shown_before_the_end() {
    let daemon = Daemon::start();
    let (status, screen) = run(&daemon, "seq 1 30000").end();
    assert_eq!(status.code(), Some(0));
    let lines = screen.lines().map(|line| line.parse::<u32>().unwrap());
    assert!(lines.eq(1..=30_000));
    daemon.end();
}

#[test]
fn what_holds_the_terminal_longer_does_not_hold_mpctl() {
    let daemon = Daemon::start();
    let script =
        "setsid sh -c 'trap \"\" HUP; echo $$; echo ready; exec sleep 100' & read line; echo done";
    let mut terminal = run(&daemon, script);
    let pid = terminal.read_until("ready\r\n");
    let pid = pid.lines().next().unwrap().trim().parse().unwrap();
    terminal.types("\n");
    terminal.read_until("done\r\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    assert!(is_alive(pid));
    kill(pid, SIGKILL);
    daemon.end();
}

#[test]
fn a_redirected_stream_stays_redirected() {
    let daemon = Daemon::start();
    let path = daemon.folder().join("out");
    let script =
        "test -t 0 && ! test -t 1 && test -t 2 && echo to the file; echo shown >&2; read x";
    let command = daemon.mpctl(&["run", "command", "--", "sh", "-c", script]);
    let file = File::create(&path).unwrap();
    let mut terminal = Terminal::sized(&command, 24, 80, |session| {
        session.stdout(file);
    });
    terminal.read_until("shown\r\n");
    // The echo is shown on what is left of the terminal.
    terminal.types("typed\n");
    terminal.read_until("typed\r\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "to the file\n");
    daemon.end();
}

#[test]
fn ctrl_z_stops_it_all_and_fg_goes_on() {
    let daemon = Daemon::start();
    let mut terminal = shell(&daemon);
    terminal.types(
        "$MPCTL run command -- sh -c 'echo pid $$ ready; read x; echo got $x; exit 5' | cat\n",
    );
    // Not the echo of the command line.
    let pid = loop {
        let line = terminal.read_until(" ready");
        let pid = line
            .rsplit("pid ")
            .next()
            .and_then(|line| line.split(' ').next());
        if let Some(Ok(pid)) = pid.map(str::parse::<i32>) {
            break pid;
        }
    };
    terminal.types("\x1a");
    terminal.read_until("outer> ");
    eventually("the worker is stopped", || {
        (state(pid) == Some('T')).then_some(())
    });
    assert!(!terminal.is_raw());
    terminal.types("fg\n");
    eventually("the worker goes on", || {
        (state(pid) != Some('T')).then_some(())
    });
    eventually("the terminal is raw again", || {
        terminal.is_raw().then_some(())
    });
    terminal.types("words\n");
    terminal.read_until("got words");
    terminal.read_until("outer> ");
    terminal.types("exit\n");
    terminal.end();
    daemon.end();
}

#[test]
fn a_shell_in_the_worker_stops_its_own_jobs() {
    let daemon = Daemon::start();
    let mut command = daemon.mpctl(&["run", "command", "--", "sh", "-i"]);
    command.env("PS1", "inner> ").env("ENV", "");
    let mut terminal = Terminal::run(&command);
    terminal.read_until("inner> ");
    terminal.types("sh -c 'echo rea''dy; exec sleep 100'\n");
    terminal.read_until("ready\r\n");
    terminal.types("\x1a");
    terminal.read_until("inner> ");
    terminal.types("kill -9 %1; fg; exit 3\n");
    assert_eq!(terminal.end().0.code(), Some(3));
    daemon.end();
}

#[test]
fn ctrl_z_where_nobody_would_go_on_changes_nothing() {
    let daemon = Daemon::start();
    // The session's leader itself: no shell is behind it.
    let mut terminal = run(&daemon, "echo ready; read x; echo got $x");
    terminal.read_until("ready\r\n");
    terminal.types("\x1awords\n");
    terminal.read_until("got words\r\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    daemon.end();
}

#[test]
fn a_stopped_mpctl_can_be_terminated() {
    let daemon = Daemon::start();
    let mut terminal = shell(&daemon);
    terminal.types("$MPCTL run command -- sh -c 'echo rea''dy; exec sleep 100'\n");
    terminal.read_until("ready\r\n");
    terminal.types("\x1a");
    terminal.read_until("outer> ");
    terminal.types("kill %1; bg; wait; echo en''ded; exit\n");
    terminal.read_until("ended\r\n");
    terminal.end();
    daemon.end();
}

#[test]
fn warming_shows_progress_on_a_terminal() {
    let daemon = Daemon::with_config(&format!(
        "[templates.slow]\nprogram = {:?}\nenv = {{ PROBE = \"slow\" }}\n",
        common::probe()
    ));
    let mut terminal = Terminal::run(&daemon.mpctl(&["template", "warm", "slow"]));
    terminal.read_until("warming slow: 1/1 words ");
    terminal.read_until("% reading pages");
    terminal.read_until("\r\x1b[Kslow is warm: zygote ");
    assert_eq!(terminal.end().0.code(), Some(0));
    daemon.end();
}
