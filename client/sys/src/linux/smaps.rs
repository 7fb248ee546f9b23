//! This process's memory as /proc has it.

use crate::memory::{Mapping, Supply, Totals};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;

pub(crate) fn mappings() -> io::Result<Vec<Mapping>> {
    read_mappings(BufReader::new(File::open("/proc/self/smaps")?))
}

fn read_mappings(smaps: impl BufRead) -> io::Result<Vec<Mapping>> {
    let mut mappings = Vec::new();
    let mut current: Option<Mapping> = None;
    // A path need not be UTF-8.
    for line in smaps.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some((name, value)) = fact(&line) {
            let Some(current) = &mut current else {
                continue;
            };
            match name {
                "Anonymous" => current.anonymous_bytes = kilobytes(value),
                "AnonHugePages" => current.huge_bytes = kilobytes(value),
                "VmFlags" => {
                    // Not wanted huge, not for children, device memory, or of a fixed page size.
                    let kept = ["nh", "dc", "wf", "io", "pf", "ht"];
                    current.kept_small = value.split_whitespace().any(|flag| kept.contains(&flag));
                }
                _ => {}
            }
        } else {
            mappings.extend(current.take());
            current = begun(&line);
        }
    }
    mappings.extend(current);
    Ok(mappings)
}

/// A line `Name:  value`.
fn fact(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    // The addresses' line has a colon in the device's number.
    (!name.contains(' ')).then_some((name, value))
}

fn kilobytes(value: &str) -> u64 {
    let number = value.split_whitespace().next();
    let number = number.and_then(|number| number.parse::<u64>().ok());
    number.unwrap_or(0).saturating_mul(1024)
}

/// The first line of a mapping, if it is of private memory that is no file's, nor a stack.
fn begun(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let access = fields.next()?;
    let inode = fields.nth(2)?;
    let name = fields.next().unwrap_or_default();
    let ours = name.is_empty() || name == "[heap]" || name.starts_with("[anon");
    if !access.starts_with('r') || !access.ends_with('p') || inode != "0" || !ours {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    let range: Range<usize> = address(start)?..address(end)?;
    Some(Mapping {
        range,
        anonymous_bytes: 0,
        huge_bytes: 0,
        kept_small: false,
    })
}

pub(crate) fn totals() -> io::Result<Totals> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let value = |wanted| {
        let mut facts = rollup.lines().filter_map(fact);
        facts
            .find(|(name, _)| *name == wanted)
            .map_or(0, |(_, value)| kilobytes(value))
    };
    Ok(Totals {
        anonymous_bytes: value("Anonymous"),
        huge_bytes: value("AnonHugePages"),
    })
}

pub(crate) fn about_private_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut fields = statm
        .split_whitespace()
        .map(|field| field.parse::<u64>().unwrap_or(0));
    let resident = fields.nth(1).unwrap_or(0);
    let of_files = fields.next().unwrap_or(0);
    resident
        .saturating_sub(of_files)
        .saturating_mul(rustix::param::page_size() as u64)
}

pub(crate) fn of_the_machine() -> Option<Supply> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let value = |wanted| {
        let mut facts = meminfo.lines().filter_map(fact);
        facts
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| kilobytes(value))
    };
    Some(Supply {
        all: value("MemTotal")?,
        available: value("MemAvailable")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55d2 rw-p 00000000 fe:00 123   /usr/bin/a b
Anonymous:             8 kB
VmFlags: rd wr mr mw me ac
5600-5a00 rw-p 00000000 00:00 0     [heap]
Rss:                  12 kB
Anonymous:             8 kB
AnonHugePages:         4 kB
VmFlags: rd wr mr mw me ac hg
7f00-7f10 rw-p 00000000 00:00 0
Anonymous:             1 kB
VmFlags: rd wr nh
7f10-7f20 ---p 00000000 00:00 0
7f20-7f30 rw-s 00000000 00:01 9     /dev/zero (deleted)
7ffc-7ffd rw-p 00000000 00:00 0     [stack]
Anonymous:             9 kB
";

    #[test]
    fn what_is_a_files_or_a_stack_is_left_out() {
        let mappings = read_mappings(SMAPS.as_bytes()).unwrap();
        assert_eq!(mappings.len(), 2);
        assert_eq!(mappings[0].range, 0x5600..0x5a00);
        assert_eq!(
            (mappings[0].anonymous_bytes, mappings[0].huge_bytes),
            (8192, 4096)
        );
        assert!(!mappings[0].kept_small);
        assert!(mappings[1].kept_small);
    }

    #[test]
    fn this_process_has_some() {
        let mappings = mappings().unwrap();
        assert!(mappings.iter().any(|mapping| mapping.anonymous_bytes > 0));
        let totals = totals().unwrap();
        assert!(totals.anonymous_bytes > 0);
        assert!(about_private_bytes() > 0);
        let machine = of_the_machine().unwrap();
        assert!(machine.all >= machine.available && machine.available > 0);
    }
}
