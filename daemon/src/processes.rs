//! What /proc tells of processes.

use mpfork_proto::v1::{Memory, Process};
use std::path::Path;
use std::time::SystemTime;

/// The live processes of a process group; at most so many.
pub(crate) fn of_group(group: i32, most: usize) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            // A name may hold any bytes.
            let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat);
            let stat = Stat::parse(&stat)?;
            let alive = !matches!(stat.state, 'Z' | 'X');
            (alive && stat.group == group).then(|| Process {
                pid,
                comm: stat.comm.to_owned(),
            })
        })
        .take(most)
        .collect()
}

/// A child of this process that has ended and is not reaped yet.
pub(crate) fn ended_child() -> Option<i32> {
    let own = i32::try_from(std::process::id()).ok()?;
    std::fs::read_dir("/proc")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            std::fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                Stat::parse(&String::from_utf8_lossy(&stat))
                    .is_some_and(|stat| stat.state == 'Z' && stat.parent == own)
            })
        })
}

struct Stat<'a> {
    comm: &'a str,
    state: char,
    parent: i32,
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
            parent: rest.next()?.parse().ok()?,
            group: rest.next()?.parse().ok()?,
        })
    }
}

/// A process's memory. Reading it walks the page tables: some 10 ms per GB.
pub(crate) fn memory(pid: i32) -> std::io::Result<Memory> {
    let text = std::fs::read_to_string(
        Path::new("/proc")
            .join(pid.to_string())
            .join("smaps_rollup"),
    )?;
    let kilobytes = |name: &str| -> u64 {
        text.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .filter_map(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .sum::<u64>()
            * 1024
    };
    Ok(Memory {
        rss_bytes: kilobytes("Rss"),
        pss_bytes: kilobytes("Pss"),
        private_bytes: kilobytes("Private_Clean") + kilobytes("Private_Dirty"),
        sampled: Some(SystemTime::now().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat::parse("12 (a) b (c)) S 1 34 5 6").unwrap();
        assert_eq!((stat.comm, stat.state), ("a) b (c)", 'S'));
        assert_eq!((stat.parent, stat.group), (1, 34));
        assert!(Stat::parse("12").is_none());
        assert!(Stat::parse(") (").is_none());
    }

    #[test]
    fn this_process_has_memory_and_a_group() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(memory(pid).unwrap().rss_bytes > 0);
        let group = nix::unistd::getpgrp().as_raw();
        assert!(!of_group(group, 64).is_empty());
    }
}
