//! Resource limits by number, for this process or a child.

use crate::platform::limits::{self as platform, NAMES};
use std::io;

pub use crate::platform::limits::{FSIZE, NOFILE, NPROC, RESOURCES};

/// One resource's limits; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// The resource's number.
    pub resource: u32,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// The number of the limit of this name: that of getrlimit(2) in lower case, without its prefix.
#[must_use]
pub fn by_name(name: &str) -> Option<u32> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, resource)| *resource)
}

/// All names, for people.
#[must_use]
pub fn names() -> String {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Reads a limit of this process.
///
/// # Errors
/// EINVAL for a resource the system does not know.
pub fn get(resource: u32) -> io::Result<Rlimit> {
    platform::get(resource)
}

/// Sets a limit of this process (pid 0) or of a child that has not been waited for.
///
/// # Errors
/// EINVAL for an unknown resource or a soft limit over the hard one, EPERM for raising a hard limit; of
/// kind [`io::ErrorKind::Unsupported`] for a child where processes set only their own.
pub fn set(pid: i32, limit: Rlimit) -> io::Result<()> {
    platform::set(pid, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_this_platform_has_a_name() {
        let mut numbers: Vec<u32> = NAMES
            .iter()
            .map(|(name, _)| by_name(name).unwrap())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, RESOURCES.collect::<Vec<_>>());
        assert_eq!(by_name("nofile"), Some(NOFILE));
        assert_eq!(by_name("files"), None);
        assert!(names().contains("core, cpu"));
    }
}
