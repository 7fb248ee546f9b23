//! Processes, as the system tells of them.

use std::collections::HashSet;
use std::path::Path;

pub fn kill(pid: i32, signal: i32) {
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// The state letter and the parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub fn state(pid: i32) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn all_pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

pub fn descendants(root: i32) -> Vec<i32> {
    let parents: Vec<_> = all_pids()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?.1)))
        .collect();
    let mut found = HashSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| found.contains(p))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return found.into_iter().filter(|pid| *pid != root).collect();
        }
    }
}

/// Processes in whose environment the socket is named: workers, and what they started.
pub fn processes_with(socket: &Path) -> Vec<i32> {
    let mark = socket.as_os_str().as_encoded_bytes();
    let has = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|part| part == mark)
    };
    let own = i32::try_from(std::process::id()).unwrap();
    all_pids()
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(has)
        .collect()
}
