//! A zygote that runs into the limits of descriptors: those it may have open, and those its user may
//! have in flight.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, eventually, processes_of_session};
use mpfork_proto::link::zygote_frame::Frame;
use mpfork_sys::fdpass;
use mpfork_sys::limits::{self, NOFILE, Rlimit};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::thread::CapabilitySet;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

/// The numbers under which a process has something open.
fn open_numbers(pid: i32) -> Vec<u64> {
    let numbers = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut numbers: Vec<u64> = numbers
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

fn limit_open_files(pid: i32, limit: u64) {
    let before = limits::get(NOFILE).unwrap();
    let limit = Rlimit {
        soft: limit,
        ..before
    };
    limits::set(pid, limit).unwrap();
}

#[test]
fn a_spare_descriptor_sees_a_fork_through() {
    let mut zygote = Zygote::ready(&[], &[]);
    assert_eq!(zygote.run(Start::main(&["code", "1"])).code(), 1);
    // No number is free, neither for the worker's socket nor for the pidfd.
    let open = open_numbers(zygote.pid);
    let mut free = (0..).filter(|number| !open.contains(number));
    let limit = free.next().unwrap();
    limit_open_files(zygote.pid, limit);
    for code in ["2", "3"] {
        let mut worker = zygote.start(Start::main(&["code", code]));
        assert!(common::ended(&worker.pidfd, common::LIMIT));
        worker.reports();
        let status = zygote.exited(&worker).status.unwrap();
        assert_eq!(status >> 8, code.parse().unwrap());
    }
    // What was spared is there again.
    assert_eq!(open_numbers(zygote.pid).len(), open.len());
    assert_eq!(zygote.finish(), "");
}

/// Gives up what exempts root from the limit of descriptors in flight, for this thread and all that
/// it executes.
fn without_privileges() {
    let exempt = CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN;
    let mut sets = rustix::thread::capabilities(None).unwrap();
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        for capability in exempt.iter() {
            rustix::thread::remove_capability_from_bounding_set(capability).unwrap();
        }
    }
    sets.effective.remove(exempt);
    rustix::thread::set_capabilities(None, sets).unwrap();
}

/// How often a process has waited for something.
fn waits(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let waits = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    waits.unwrap().trim().parse().unwrap()
}

/// Puts some hundreds of descriptors in flight, until this is dropped.
fn in_flight() -> Vec<(UnixStream, UnixStream)> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let pairs = (0..3).map(|_| {
        let (one, other) = UnixStream::pair().unwrap();
        for _ in 0..2 {
            fdpass::send(one.as_fd(), b"x", &[null.as_fd(); 50]).unwrap();
        }
        (one, other)
    });
    pairs.collect()
}

#[test]
fn too_many_descriptors_in_flight_are_waited_for() {
    without_privileges();
    let mut zygote = Zygote::ready(&[], &[]);
    limit_open_files(zygote.pid, 100);
    let full = in_flight();
    let (worker, control) = zygote.ask(Start::main(&["code", "4"]));
    eventually("it has forked", || {
        processes_of_session(zygote.pid).len() == 2
    });
    // It can't tell, and tries again and again.
    let before = waits(zygote.pid);
    eventually("it has tried several times", || {
        waits(zygote.pid) > before + 5
    });
    let mut link = [PollFd::new(&zygote.link().socket, PollFlags::IN)];
    let told = rustix::event::poll(&mut link, Some(&Timespec::default())).unwrap();
    assert_eq!(told, 0);
    drop(full);
    let forked = zygote.about(worker);
    assert!(matches!(forked, Frame::Forked(_)), "{forked:?}");
    assert!(zygote.link().descriptors.pop_front().is_some());
    let Frame::Exited(exited) = zygote.about(worker) else {
        panic!("no exit");
    };
    assert_eq!(exited.status, Some(4 << 8));
    drop(control);
    assert_eq!(zygote.finish(), "");
}
