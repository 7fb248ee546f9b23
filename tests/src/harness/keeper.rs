//! The process around each daemon. Whatever a daemon leaves behind when it ends becomes the keeper's
//! child, and no other daemon's: several tests may run in one process.
//!
//! It starts the command of its arguments and tells on standard output, a line each:
//! `pid PID`; when that process has ended `ended code N` or `ended signal N`; `inherited PID STATE
//! COMM` for each process it left; `left PID COMM` for each that is still there some time later and is
//! then killed. When its standard input ends it kills the daemon.

use super::{process, wait};
use rustix::process::{Pid, Signal, WaitOptions};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// How long what a daemon leaves gets to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the keeper's `main` does.
#[must_use]
pub fn main() -> ExitCode {
    let own = rustix::process::getpid();
    mpfork_sys::own_process::adopt_orphans().unwrap();
    // Ignored, it would leave nothing to wait for.
    mpfork_sys::signals::set_default(nix::sys::signal::Signal::SIGCHLD).unwrap();
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().unwrap();
    let mut daemon = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .unwrap();
    let pid = i32::try_from(daemon.id()).unwrap();
    println!("pid {pid}");
    let pidfd = mpfork_sys::sentinel::open(pid).unwrap();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        // By pidfd: the process may have ended long ago.
        let _ = mpfork_sys::sentinel::signal(
            pid,
            std::os::fd::AsFd::as_fd(&pidfd),
            Signal::KILL.as_raw(),
        );
    });
    let status = daemon.wait().unwrap();
    for child in process::children(own.as_raw_nonzero().get()) {
        println!("inherited {} {} {}", child.pid, child.state, child.comm);
    }
    match status.code() {
        Some(code) => println!("ended code {code}"),
        None => println!("ended signal {}", status.signal().unwrap_or(0)),
    }
    if wait::within(PATIENCE, || all_gone().then_some(())).is_none() {
        for child in process::descendants(own.as_raw_nonzero().get()) {
            println!("left {} {}", child.pid, child.comm);
            let _ = rustix::process::kill_process(Pid::from_raw(child.pid).unwrap(), Signal::KILL);
        }
        let _ = wait::within(PATIENCE, || all_gone().then_some(()));
    }
    println!("done");
    ExitCode::SUCCESS
}

fn all_gone() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}
