//! Processes, as /proc tells them.

use crate::processes::{Member, Memory};
use std::collections::HashMap;
use std::io;
use std::path::Path;

/// Reads what `/proc` has of every process of the machine.
pub(crate) fn members(groups: &mut HashMap<i32, Vec<Member>>, most: usize) {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return;
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
        if let Some(group) = group.filter(|group| group.len() < most)
            && !matches!(stat.state, 'Z' | 'X')
        {
            group.push(Member {
                pid,
                name: stat.comm.to_owned(),
            });
        }
    }
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

pub(crate) fn memory(pid: i32) -> io::Result<Memory> {
    let process = Path::new("/proc").join(pid.to_string());
    let rollup = std::fs::read_to_string(process.join("smaps_rollup"))?;
    let status = std::fs::read_to_string(process.join("status"))?;
    let sum = |name| kilobytes(&rollup, name) * 1024;
    let count = |name| kilobytes(&status, name) * 1024;
    Ok(Memory {
        resident: sum("Rss"),
        proportional: sum("Pss"),
        private: sum("Private_Clean") + sum("Private_Dirty"),
        anonymous: count("RssAnon"),
        shared_memory: count("RssShmem"),
        anonymous_share: sum("Pss_Anon"),
        shared_memory_share: sum("Pss_Shmem"),
    })
}

/// `Name:   12 kB`
fn kilobytes(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .filter_map(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// In clock ticks since the system's start.
pub(crate) fn start_time(pid: Option<i32>) -> Option<u64> {
    let pid = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may have anything in it.
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&text[after + 1..]).ok()?;
    // The 22nd, of which two are before.
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    Stat::parse(&stat).is_some_and(|stat| matches!(stat.state, 'T' | 't'))
}

pub(crate) fn ignores(pid: i32, signal: i32) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    mask_has(&status, "SigIgn:", signal)
}

fn mask_has(status: &str, name: &str, signal: i32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let bit = u32::try_from(signal).ok()?.checked_sub(1)?;
    Some(mask.checked_shr(bit)? & 1 == 1)
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

    #[test]
    fn a_mask_of_signals() {
        let status = "Name:\tx\nSigIgn:\t0000000000080001\n";
        assert_eq!(mask_has(status, "SigIgn:", 20), Some(true));
        assert_eq!(mask_has(status, "SigIgn:", 1), Some(true));
        assert_eq!(mask_has(status, "SigIgn:", 2), Some(false));
        assert_eq!(mask_has(status, "SigIgn:", 0), None);
        assert_eq!(mask_has(status, "SigIgn:", 99), None);
        assert_eq!(mask_has(status, "SigCgt:", 1), None);
    }
}
