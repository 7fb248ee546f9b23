//! A supervisor that is killed while a preload runs takes its zygote with it. Alone in its process,
//! which adopts the zygote.

mod common;

use common::{LIMIT, PROBE, ended};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_zygote_does_not_outlive_its_supervisor_in_a_preload() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let mut supervisor = Command::new(PROBE)
        .arg("supervise")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(supervisor.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let zygote: i32 = line.trim().parse().unwrap();
    let pidfd = mpfork_sys::pidfd::open(zygote).unwrap();
    assert!(!ended(&pidfd, std::time::Duration::ZERO));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(ended(&pidfd, LIMIT), "the zygote lives on");
    let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(zygote), None).unwrap();
    assert!(matches!(
        status,
        nix::sys::wait::WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _)
    ));
}
