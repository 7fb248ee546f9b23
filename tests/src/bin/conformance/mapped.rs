//! What the system tells of shared memory.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where some memory is mapped from, and how much of it this process has taken up.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
pub(super) struct Mapped {
    /// Which file: device and number.
    pub(super) file: (String, u64),
    /// In KiB, by the names of `/proc/PID/smaps`.
    pub(super) kib: BTreeMap<String, u64>,
}

/// All that a process has of these files.
pub(super) fn all_mapped(pid: u32) -> Vec<(u64, Mapped)> {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut all = Vec::new();
    let mut within = false;
    for line in smaps.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            [range, _, _, device, number, ..] if range.contains('-') => {
                within = line.contains("memfd:mpfork-shared");
                let (start, _) = range.split_once('-').unwrap();
                if within {
                    let mapped = Mapped {
                        file: (device.to_owned(), number.parse().unwrap()),
                        kib: BTreeMap::new(),
                    };
                    all.push((u64::from_str_radix(start, 16).unwrap(), mapped));
                }
            }
            [name, kib, "kB"] if within => {
                let name = name.trim_end_matches(':').to_owned();
                let (_, mapped) = all.last_mut().unwrap();
                mapped.kib.insert(name, kib.parse().unwrap());
            }
            _ => {}
        }
    }
    all
}

/// What this memory is mapped from.
pub(super) fn mapped<T>(memory: &[T]) -> Mapped {
    let start = memory.as_ptr().addr() as u64;
    let mut all = all_mapped(std::process::id()).into_iter();
    all.find(|(at, _)| *at == start).unwrap().1
}
