//! Reaping: every worker's exact status, and nobody else's.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LIMIT, Start, Zygote, ended};
use mpfork_proto::link::{Shutdown, supervisor_frame, zygote_frame};
use mpfork_sys::{limits, pidfd};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Starts workers that wait for their input's end, and ends them all at once.
fn burst(zygote: &mut Zygote, count: usize) {
    let files = limits::get(limits::NOFILE).unwrap();
    let raised = limits::Rlimit {
        soft: files.hard,
        ..files
    };
    limits::set(0, raised).unwrap();
    let (input, hold) = std::io::pipe().unwrap();
    let mut expected = BTreeMap::new();
    // A worker whose supervisor has closed its socket ends before it begins.
    let mut sockets = Vec::new();
    for n in 0..count {
        let code = u8::try_from(n % 200).unwrap();
        let mut start = Start::function("wait", &[code]);
        start = start.place(input.try_clone().unwrap(), 0);
        let worker = zygote.start(start);
        // One in ten is killed, by real-time signals too, which have no names.
        if n % 10 == 9 {
            let signal = [9, 15, 40][n % 3];
            pidfd::signal(worker.pidfd.as_fd(), signal).unwrap();
            expected.insert(worker.id, signal);
        } else {
            expected.insert(worker.id, i32::from(code) << 8);
        }
        sockets.push(worker.control);
    }
    drop(input);
    drop(hold);
    for (worker, status) in expected {
        match zygote.about(worker) {
            zygote_frame::Frame::Exited(exited) => {
                assert_eq!(exited.status, Some(status), "worker {worker}");
                assert!(exited.rusage.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_thousand_workers_that_end_at_once() {
    let mut zygote = Zygote::ready(&[], &[]);
    burst(&mut zygote, 1000);
    burst(&mut zygote, 60);
    assert!(zygote.finish().is_empty());
}

#[test]
fn many_workers_and_a_stranger() {
    let mut zygote = Zygote::ready(&[], &["parent"]);
    burst(&mut zygote, 150);
    // The preload's child that has ended is left to it; the other goes on.
    let strangers = zygote.text(Start::function("strangers", b"."));
    assert!(strangers.starts_with('Z'), "{strangers}");
    assert!(strangers.ends_with('S'), "{strangers}");
}

#[test]
fn an_exit_is_told_at_once_among_many_that_live() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (input, hold) = std::io::pipe().unwrap();
    let mut living = Vec::new();
    for _ in 0..100 {
        let start = Start::function("wait", &[0]).place(input.try_clone().unwrap(), 0);
        living.push(zygote.start(start));
    }
    for n in 0..50 {
        assert_eq!(zygote.run(Start::function("code", &[n])).code(), n.into());
    }
    drop(hold);
    drop(input);
    for worker in &living {
        assert_eq!(zygote.exited(worker).status, Some(0));
    }
}

#[test]
fn workers_somebody_else_has_reaped_have_no_status() {
    let folder = tempfile::tempdir().unwrap();
    for count in [1, 100] {
        let flag = folder.path().join(count.to_string());
        let variable = format!("PROBE_THIEF={}", flag.display());
        let mut zygote = Zygote::ready(&[&variable], &[]);
        let (input, _hold) = std::io::pipe().unwrap();
        let start = || Start::function("wait", &[7]).place(input.try_clone().unwrap(), 0);
        let workers: Vec<_> = (0..count).map(|_| zygote.start(start())).collect();
        std::fs::write(&flag, "").unwrap();
        // The hook before this fork ends and reaps them all.
        let thief = zygote.start(Start::function("code", &[3]));
        for worker in &workers {
            let exited = zygote.exited(worker);
            assert_eq!((exited.status, exited.rusage), (None, None));
        }
        assert_eq!(zygote.exited(&thief).status, Some(3 << 8));
    }
}

#[test]
fn a_zygote_whose_supervisor_is_gone_stays_for_its_workers() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (input, hold) = std::io::pipe().unwrap();
    let worker = zygote.start(Start::function("wait", &[0]).place(input, 0));
    zygote.link = None;
    assert!(!ended(&zygote.pidfd, Duration::from_millis(100)));
    assert!(!ended(&worker.pidfd, Duration::ZERO));
    drop(hold);
    assert!(ended(&worker.pidfd, LIMIT));
    assert!(ended(&zygote.pidfd, LIMIT));
}

#[test]
fn a_zygote_that_is_to_leave_forks_no_more_and_reports_to_the_end() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (input, hold) = std::io::pipe().unwrap();
    let worker = zygote.start(Start::function("wait", &[5]).place(input, 0));
    zygote.say(supervisor_frame::Frame::Shutdown(Shutdown {}), &[]);
    let (late, _control) = zygote.ask(Start::function("echo", b"x"));
    match zygote.about(late) {
        zygote_frame::Frame::ForkFailed(failed) => assert!(failed.message.contains("leaving")),
        other => panic!("{other:?}"),
    }
    drop(hold);
    assert_eq!(zygote.exited(&worker).status, Some(5 << 8));
    assert!(zygote.hear().is_none());
}
