//! Processes that outlive their parents. Alone in this process, which adopts them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LIMIT, PROBE, Start, Zygote, ended, eventually};
use mpfork_proto::link::Hello;
use mpfork_sys::pidfd;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

fn adopt() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
}

/// The status of a process that becomes or is ours.
fn reap(pid: i32) -> i32 {
    let mut status = None;
    eventually("it ends and is ours", || {
        status = mpfork_sys::wait::reap(pid).ok().flatten();
        status.is_some()
    });
    status.unwrap().status
}

#[test]
fn a_zygote_does_not_outlive_its_supervisor_in_a_preload() {
    adopt();
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
    assert_eq!(reap(zygote), 9);
}

#[test]
fn groups_are_ended_before_their_leader_is_reaped_when_asked_for() {
    adopt();
    let mut zygote = Zygote::launch(PROBE, &[]);
    zygote.greet_with(Hello {
        version_min: 1,
        version_max: 1,
        end_groups: true,
        ..Hello::default()
    });
    zygote.preload(&[]).1.unwrap();
    let outcome = zygote.run(Start::function("leave-child", b"."));
    assert!(outcome.exited.leftovers);
    let child: i32 = String::from_utf8(outcome.value.unwrap())
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(reap(child), 9);
    let outcome = zygote.run(Start::function("echo", b"x"));
    assert!(!outcome.exited.leftovers);
}

#[test]
fn a_killed_zygote_leaves_its_workers_alone() {
    adopt();
    let mut zygote = Zygote::ready(&[], &[]);
    let (input, hold) = std::io::pipe().unwrap();
    let mut worker = zygote.start(Start::function("wait", &[0]).place(input, 0));
    pidfd::signal(zygote.pidfd.as_fd(), 9).unwrap();
    assert!(ended(&zygote.pidfd, LIMIT));
    assert!(!ended(&worker.pidfd, Duration::ZERO));
    drop(hold);
    assert!(worker.value().is_none());
    assert_eq!(reap(worker.pid), 0);
    zygote.expect_signal(9);
}
