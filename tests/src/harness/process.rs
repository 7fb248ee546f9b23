//! Looking at processes, and signalling them.

use rustix::process::{Pid, Signal};
use std::collections::HashMap;

/// A process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its pid.
    pub pid: i32,
    /// Its name.
    pub comm: String,
    /// One letter: `R`, `S`, `T`, `Z` and so on.
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
}

/// A process; `None` when there is none of this pid.
#[must_use]
pub fn see(pid: i32) -> Option<Seen> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut rest = stat.get(close + 1..)?.split_ascii_whitespace();
    Some(Seen {
        pid,
        comm: stat.get(open + 1..close)?.to_owned(),
        state: rest.next()?.chars().next()?,
        parent: rest.next()?.parse().ok()?,
        group: rest.next()?.parse().ok()?,
        session: rest.next()?.parse().ok()?,
    })
}

/// All processes.
#[must_use]
pub fn all() -> Vec<Seen> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(see)
        .collect()
}

/// The children of a process.
#[must_use]
pub fn children(pid: i32) -> Vec<Seen> {
    all().into_iter().filter(|p| p.parent == pid).collect()
}

/// All that descend from a process.
#[must_use]
pub fn descendants(pid: i32) -> Vec<Seen> {
    let mut by_parent: HashMap<i32, Vec<Seen>> = HashMap::new();
    for process in all() {
        by_parent.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for child in by_parent.remove(&parent).unwrap_or_default() {
            next.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Whether a process runs; a zombie does not.
#[must_use]
pub fn lives(pid: i32) -> bool {
    see(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

/// Whether a process is stopped.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    see(pid).is_some_and(|process| process.state == 'T')
}

/// Signals a process that this test knows to be its own.
///
/// # Panics
/// When the system refuses.
pub fn signal(pid: i32, signal: Signal) {
    let process = Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, signal)
        .unwrap_or_else(|error| panic!("signal {signal:?} to {pid}: {error}"));
}

/// Stops a process and waits until it is stopped.
pub fn stop(pid: i32) {
    signal(pid, Signal::STOP);
    super::eventually("the process stops", || is_stopped(pid).then_some(()));
}

/// Lets a stopped process go on.
pub fn resume(pid: i32) {
    signal(pid, Signal::CONT);
}

/// Kills a process and waits until it is gone or a zombie.
pub fn kill(pid: i32) {
    signal(pid, Signal::KILL);
    super::eventually("the process ends", || (!lives(pid)).then_some(()));
}

/// A process's resident memory, in bytes.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn resident_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// How many descriptors a process has open.
#[must_use]
pub fn open_descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
