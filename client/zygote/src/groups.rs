//! Process groups: who is in them, and the end of what a worker left in its own.

use mpfork_proto::v1::Process;
use mpfork_sys::pidfd;
use rustix::process::Signal;
use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};

/// The most processes of a group that are named.
const NAMED: usize = 64;

/// The live processes of process groups, up to 64 of each; none when they can't be found. Reads what
/// `/proc` has of every process of the machine.
#[must_use]
pub fn members(mut groups: HashMap<i32, Vec<Process>>) -> HashMap<i32, Vec<Process>> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return groups;
    };
    let pids = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids {
        // It may have ended meanwhile. A name may hold any bytes.
        let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let stat = String::from_utf8_lossy(&stat);
        let Some(stat) = Stat::parse(&stat) else {
            continue;
        };
        let group = groups.get_mut(&stat.group);
        if let Some(group) = group.filter(|group| group.len() < NAMED)
            && !matches!(stat.state, 'Z' | 'X')
        {
            group.push(Process {
                pid,
                comm: stat.comm.to_owned(),
            });
        }
    }
    groups
}

struct Stat<'a> {
    comm: &'a str,
    state: char,
    group: i32,
}

impl<'a> Stat<'a> {
    /// `pid (comm) state ppid pgrp …`, where comm may hold anything.
    fn parse(text: &'a str) -> Option<Self> {
        let open = text.find('(')?;
        let close = text.rfind(')')?;
        let mut rest = text.get(close + 1..)?.split_ascii_whitespace();
        Some(Self {
            comm: text.get(open + 1..close)?,
            state: rest.next()?.chars().next()?,
            group: rest.nth(1)?.parse().ok()?,
        })
    }
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
        let leader = pidfd::open(pid).ok()?;
        // One that leads no group is an error of another kind.
        let works = match pidfd::signal_group(leader.as_fd(), 0) {
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
        if pidfd::signal_group(self.leader.as_fd(), 0).is_err() {
            return Vec::new();
        }
        let mut found = members(HashMap::from([(self.number, Vec::new())]));
        // Whoever joined meanwhile is killed as well.
        let _ = pidfd::signal_group(self.leader.as_fd(), Signal::KILL.as_raw());
        found.remove(&self.number).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat::parse("12 (a) b (c)) S 1 34 5 6").unwrap();
        assert_eq!((stat.comm, stat.state), ("a) b (c)", 'S'));
        assert_eq!(stat.group, 34);
        assert!(Stat::parse("12").is_none());
        assert!(Stat::parse(") (").is_none());
    }
}
