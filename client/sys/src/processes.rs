//! What the system knows of other processes.

use crate::platform::processes as platform;
use std::collections::HashMap;
use std::io;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its pid.
    pub pid: i32,
    /// The name of its first thread.
    pub name: String,
}

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident.
    pub resident: u64,
    /// Its share of what is resident; 0 where the system does not tell.
    pub proportional: u64,
    /// What it shares with nobody; 0 where the system does not tell.
    pub private: u64,
    /// What is resident and neither of a file nor shared memory; 0 where the system does not tell.
    pub anonymous: u64,
    /// What is resident of shared memory; 0 where the system does not tell.
    pub shared_memory: u64,
    /// Its share of the anonymous memory; 0 where the system does not tell.
    pub anonymous_share: u64,
    /// Its share of the shared memory; 0 where the system does not tell.
    pub shared_memory_share: u64,
}

/// Adds to each process group its live processes, at most so many; leaves them empty where they can't be
/// found.
pub fn members(groups: &mut HashMap<i32, Vec<Member>>, most: usize) {
    platform::members(groups, most);
}

/// A process's memory.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn memory(pid: i32) -> io::Result<Memory> {
    platform::memory(pid)
}

/// When a process began, this one where none is given, in a unit of the system's own: no two processes
/// that ever had one pid began at the same time. `None` where the system hides it.
#[must_use]
pub fn start_time(pid: Option<i32>) -> Option<u64> {
    platform::start_time(pid)
}

/// Whether a process is stopped, by a signal or a debugger; not when there is none.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    platform::is_stopped(pid)
}

/// Whether a process ignores a signal; `None` where the system does not tell.
#[must_use]
pub fn ignores(pid: i32, signal: i32) -> Option<bool> {
    platform::ignores(pid, signal)
}
