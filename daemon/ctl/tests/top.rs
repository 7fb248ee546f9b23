//! `mpctl top`: a page that is drawn over and over, and a terminal that is as before in the end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod common;

use common::terminal::Terminal;
use common::{Daemon, eventually, kill};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

const SIGTERM: i32 = 15;
const SIGUSR2: i32 = 12;
const SIGVTALRM: i32 = 26;
/// The end of the page, and how the terminal is given back.
const LAST: &str = "q quits";
const GIVEN_BACK: &str = "\x1b[?25h\x1b[?1049l";

fn top(daemon: &Daemon) -> Terminal {
    Terminal::run(&daemon.mpctl(&["top", "--interval", "100ms"]))
}

#[test]
fn it_shows_what_happens_until_q() {
    let daemon = Daemon::start();
    let mut terminal = top(&daemon);
    let page = terminal.read_until(LAST);
    assert!(page.starts_with("\x1b[?1049h"), "{page:?}");
    let pid = format!("pid {}", daemon.pid());
    assert!(page.contains(&pid) && page.contains("command"), "{page}");
    assert!(terminal.is_raw());
    for _ in 0..3 {
        assert_eq!(daemon.run(&["run", "command", "--", "true"]).code(), 0);
    }
    terminal.read_until("3 started, 3 exited");
    // Nothing has happened for a while: a rate, not a sum.
    terminal.read_until("EACH SECOND  0 started, 0 exited");
    terminal.types("q");
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(rest.ends_with(GIVEN_BACK), "{rest:?}");
    daemon.end();
}

#[test]
fn ctrl_c_and_signals_end_it_and_the_terminal_is_given_back() {
    let daemon = Daemon::start();
    let mut terminal = top(&daemon);
    terminal.read_until(LAST);
    terminal.types("\x03");
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(rest.ends_with(GIVEN_BACK), "{rest:?}");
    for signal in [SIGTERM, SIGUSR2, SIGVTALRM] {
        let mut terminal = top(&daemon);
        terminal.read_until(LAST);
        kill(terminal.pid(), signal);
        let (status, rest) = terminal.end();
        assert_eq!(status.signal(), Some(signal));
        assert!(rest.ends_with(GIVEN_BACK), "{rest:?}");
    }
    daemon.end();
}

#[test]
fn the_page_is_as_large_as_the_window() {
    let daemon = Daemon::start();
    let mut terminal = Terminal::sized(&daemon.mpctl(&["top"]), 8, 40, |_| {});
    let page = terminal.read_until(LAST);
    assert!(!page.contains("instance"), "{page:?}");
    assert_eq!(page.matches("\r\n").count(), 7, "{page:?}");
    terminal.resize(12, 120);
    // The next one may have been drawn before.
    let page = loop {
        let page = terminal.read_until(LAST);
        if page.contains("instance") {
            break page;
        }
    };
    assert_eq!(page.matches("\r\n").count(), 11, "{page:?}");
    terminal.types("q");
    assert_eq!(terminal.end().0.code(), Some(0));
    daemon.end();
}

#[test]
fn the_end_of_the_daemon_is_told_on_the_terminal_as_it_was() {
    let daemon = Daemon::start();
    let mut terminal = top(&daemon);
    terminal.read_until(LAST);
    kill(daemon.pid(), 9);
    terminal.read_until(GIVEN_BACK);
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(70));
    assert!(rest.starts_with("mpctl: showing a live view: "), "{rest:?}");
    daemon.killed();
}

#[test]
fn it_stops_and_goes_on_as_other_programs_do() {
    let daemon = Daemon::start();
    let mut shell = Command::new("sh");
    shell
        .arg("-i")
        .env("PS1", "outer> ")
        .env("ENV", "")
        .env("MPCTL", env!("CARGO_BIN_EXE_mpctl"))
        .env("MPFORKD_SOCKET", daemon.socket());
    let mut terminal = Terminal::run(&shell);
    terminal.read_until("outer> ");
    terminal.types("$MPCTL top\n");
    terminal.read_until(LAST);
    terminal.types("\x1a");
    let screen = terminal.read_until("outer> ");
    assert!(screen.contains(GIVEN_BACK), "{screen:?}");
    assert!(!terminal.is_raw());
    terminal.types("fg\n");
    let page = terminal.read_until(LAST);
    assert!(page.contains("\x1b[?1049h"), "{page:?}");
    eventually("the terminal is its again", || {
        terminal.is_raw().then_some(())
    });
    terminal.types("q");
    terminal.read_until("outer> ");
    terminal.types("exit\n");
    terminal.end();
    daemon.end();
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let daemon = Daemon::start();
    let outcome = daemon.run(&["top"]);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (64, ""));
    assert!(
        outcome.stderr.contains("mpctl status --json"),
        "{outcome:?}"
    );
    let mut terminal = Terminal::sized(&daemon.mpctl(&["top"]), 24, 80, |command| {
        command.env("TERM", "dumb");
    });
    terminal.read_until("mpctl status --json");
    let (status, rest) = terminal.end();
    assert_eq!(status.code(), Some(64));
    assert!(!rest.contains('\x1b'), "{rest:?}");
    let terminal = Terminal::run(&daemon.mpctl(&["--json", "top"]));
    assert_eq!(terminal.end().0.code(), Some(64));
    daemon.end();
}
