//! What preloads leave behind: open descriptors, mapped files, memory.

use mpfork_proto::link::KeptDescriptor;
use std::collections::BTreeSet;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt as _;

/// How many loaded files are told.
const MAX_FILES: usize = 256;

/// The open descriptors and mapped files of this process at one time.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    descriptors: BTreeSet<RawFd>,
    files: BTreeSet<Vec<u8>>,
}

impl Snapshot {
    /// Looks at this process; with nothing to load there is nothing to see.
    pub(super) fn take(needed: bool) -> Self {
        if !needed {
            return Self::default();
        }
        Self {
            descriptors: mpfork_sys::descriptors::open_numbers()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            files: mapped_files(),
        }
    }

    pub(super) fn opened_since(&self, before: &Self) -> Vec<RawFd> {
        self.descriptors
            .difference(&before.descriptors)
            .copied()
            .collect()
    }

    pub(super) fn mapped_since(&self, before: &Self) -> Vec<Vec<u8>> {
        self.files
            .difference(&before.files)
            .take(MAX_FILES)
            .cloned()
            .collect()
    }
}

/// The descriptors and what they are.
pub(super) fn describe(numbers: &[RawFd]) -> Vec<KeptDescriptor> {
    numbers
        .iter()
        .map(|number| {
            let what = std::fs::read_link(format!("/proc/self/fd/{number}"))
                .map(|path| path.into_os_string().into_vec())
                .unwrap_or_default();
            KeptDescriptor {
                number: number.unsigned_abs(),
                what: crate::fault::cut(&String::from_utf8_lossy(&what), 4096),
            }
        })
        .collect()
}

fn mapped_files() -> BTreeSet<Vec<u8>> {
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    maps.split(|byte| *byte == b'\n').filter_map(path).collect()
}

/// The path at the end of a line of `/proc/self/maps`, after five other fields.
fn path(line: &[u8]) -> Option<Vec<u8>> {
    let start = line.iter().position(|byte| *byte == b'/')?;
    let path = &line[start..];
    if path.ends_with(b" (deleted)") {
        return None;
    }
    // A newline in a name is escaped, so that lines stay lines.
    let mut parts = path.split(|byte| *byte == b'\\');
    let mut plain = parts.next()?.to_vec();
    for part in parts {
        let (byte, rest) = match part.strip_prefix(b"012") {
            Some(rest) => (b'\n', rest),
            None => (b'\\', part),
        };
        plain.push(byte);
        plain.extend_from_slice(rest);
    }
    Some(plain)
}

/// The memory this process has resident.
pub(super) fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mapped_files() {
        let line = |path: &str| format!("7f00-7f01 r--p 00000000 fe:00 123      {path}");
        let of = |text: &str| path(line(text).as_bytes());
        assert_eq!(of("/usr/lib/a b.so"), Some(b"/usr/lib/a b.so".to_vec()));
        assert_eq!(of("/a\\012b\\c"), Some(b"/a\nb\\c".to_vec()));
        assert_eq!(of("[heap]"), None);
        assert_eq!(of("/memfd:x (deleted)"), None);
        assert!(!mapped_files().is_empty());
        assert!(resident_bytes() > 0);
    }
}
