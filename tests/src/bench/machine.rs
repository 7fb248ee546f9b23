//! What the machine allows.

use mpfork_sys::limits::{self, Rlimit};
use mpfork_sys::memory;

/// Memory that can be had without swapping, in bytes: the machine's, or less where a control group sets a limit.
pub(super) fn available_memory() -> u64 {
    let supplies = memory::supplies();
    let available = supplies.iter().map(|supply| supply.available);
    available.min().unwrap_or(0)
}

/// What a contender takes with so much preloaded: malloc and lists add some, and writing copies some.
pub(super) fn needed_memory(preload_mb: u32) -> u64 {
    (u64::from(preload_mb) * 115 / 100 + 50) * 1_000_000
}

/// Of the memory that can be had so much is used at most: where most of it is taken, no whole huge pages are
/// left to move what is preloaded into.
pub(super) fn usable_memory() -> u64 {
    available_memory() / 100 * 65
}

/// How many processes can be alive together, and what limits it.
pub(super) fn most_processes() -> (u64, &'static str) {
    let number = |path| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let soft = limits::get(limits::NPROC).map_or(u64::MAX, |limit| limit.soft);
    // Others need some too.
    let spare = |limit: u64| limit.saturating_sub(500);
    [
        (spare(soft), "the user's limit of processes"),
        (
            number("/proc/sys/kernel/pid_max").map_or(u64::MAX, spare),
            "kernel.pid_max",
        ),
        (
            number("/proc/sys/kernel/threads-max").map_or(u64::MAX, spare),
            "kernel.threads-max",
        ),
        (
            cgroup_pids().map_or(u64::MAX, spare),
            "the control group's pids.max",
        ),
        // A worker's own pages, its stacks in the kernel and its page tables.
        (usable_memory() / 900_000, "the memory available"),
    ]
    .into_iter()
    .min()
    .unwrap_or((0, ""))
}

fn cgroup_pids() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = format!("/sys/fs/cgroup{path}");
    let mut least = None;
    for folder in std::path::Path::new(&folder).ancestors() {
        if !folder.starts_with("/sys/fs/cgroup") {
            break;
        }
        let text = std::fs::read_to_string(folder.join("pids.max"));
        let limit: Option<u64> = text.ok().and_then(|text| text.trim().parse().ok());
        least = [least, limit].into_iter().flatten().min();
    }
    least
}

/// Raises the limit of open files as far as is allowed, for those executed from here on: so many processes
/// that stay take two each of whoever supervises them.
pub(super) fn raise_open_files(processes: u64) -> std::io::Result<()> {
    // Their own, with much room.
    let wanted = 2 * processes + 1000;
    let own = limits::get(limits::NOFILE)?;
    if own.hard < wanted {
        // Refused to most: then there are fewer processes, which is said.
        let _ = limits::set(
            0,
            Rlimit {
                hard: wanted,
                ..own
            },
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_and_room_for_some_processes() {
        assert!(available_memory() > 0);
        assert!(usable_memory() < available_memory());
        assert!(most_processes().0 > 0, "{:?}", most_processes());
    }
}
