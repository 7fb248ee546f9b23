//! Process groups: who is in them, and the end of what a worker left in its own.

use mpfork_proto::v1::Process;
use mpfork_sys::processes::{self, Member};
use mpfork_sys::sentinel;
use rustix::process::Signal;
use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};

/// The most processes of a group that are named.
const NAMED: usize = 64;

/// The live processes of process groups, up to 64 of each; none when they can't be found. On Linux it
/// reads what `/proc` has of every process of the machine.
#[must_use]
pub fn members(groups: HashMap<i32, Vec<Process>>) -> HashMap<i32, Vec<Process>> {
    let mut found = groups
        .into_keys()
        .map(|group| (group, Vec::new()))
        .collect();
    processes::members(&mut found, NAMED);
    let named = |member: Member| Process {
        pid: member.pid,
        comm: member.name,
    };
    found
        .into_iter()
        .map(|(group, members)| (group, members.into_iter().map(named).collect()))
        .collect()
}

/// The group that a process leads, which its pidfd still names after the process was reaped.
#[derive(Debug)]
pub struct Led {
    number: i32,
    leader: OwnedFd,
}

impl Led {
    /// The group led by a child that is not reaped yet. `None` where the system can't signal a group
    /// so (before Linux 6.9), or there is no free descriptor.
    #[must_use]
    pub fn by(pid: i32) -> Option<Self> {
        Self::of(pid, sentinel::open(pid).ok()?)
    }

    /// The group led by the process of this pidfd. `None` where the system can't signal a group so.
    #[must_use]
    pub fn of(pid: i32, leader: OwnedFd) -> Option<Self> {
        // One that leads no group is an error of another kind.
        let works = match sentinel::signal_group(leader.as_fd(), 0) {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()),
        };
        works.then_some(Self {
            number: pid,
            leader,
        })
    }

    /// Once the leader is reaped: kills what is left, and tells what it was.
    #[must_use]
    pub fn end(self) -> Vec<Process> {
        if sentinel::signal_group(self.leader.as_fd(), 0).is_err() {
            return Vec::new();
        }
        let mut found = members(HashMap::from([(self.number, Vec::new())]));
        // Whoever joined meanwhile is killed as well.
        let _ = sentinel::signal_group(self.leader.as_fd(), Signal::KILL.as_raw());
        found.remove(&self.number).unwrap_or_default()
    }
}
