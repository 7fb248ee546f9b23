//! Resource limits by number, for this process or a child.

use rustix::process::Resource;
use std::io;

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

/// The resources of this platform, by number.
pub const RESOURCES: std::ops::Range<u32> = 0..16;

/// Those that have a name on command lines and in configurations.
const NAMES: &[(&str, Resource)] = &[
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// The number of the limit of this name: that of getrlimit(2) in lower case, without its prefix.
#[must_use]
pub fn by_name(name: &str) -> Option<u32> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, resource)| *resource as u32)
}

/// All names, for people.
#[must_use]
pub fn names() -> String {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// The number of the limit of open files.
pub const NOFILE: u32 = libc::RLIMIT_NOFILE;
/// The number of the limit of processes of one user.
pub const NPROC: u32 = libc::RLIMIT_NPROC;

/// Reads a limit of this process.
///
/// # Errors
/// EINVAL for a resource the system does not know.
pub fn get(resource: u32) -> io::Result<Rlimit> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: pid 0 is this process; no new limit is given, and the old one goes to a structure of
    // ours that outlives the call.
    let result = unsafe {
        libc::prlimit64(
            0,
            resource as libc::__rlimit_resource_t,
            std::ptr::null(),
            &raw mut limit,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Rlimit {
        resource,
        soft: limit.rlim_cur,
        hard: limit.rlim_max,
    })
}

/// Sets a limit of this process (pid 0) or of a child that has not been waited for.
///
/// # Errors
/// EINVAL for an unknown resource or a soft limit over the hard one, EPERM for raising a hard limit.
pub fn set(pid: i32, limit: Rlimit) -> io::Result<()> {
    let new = libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    };
    // SAFETY: the new limit is a structure of ours that outlives the call; the old one is not asked for.
    let result = unsafe {
        libc::prlimit64(
            pid,
            limit.resource as libc::__rlimit_resource_t,
            &raw const new,
            std::ptr::null_mut(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
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
        assert_eq!(numbers, RESOURCES.collect::<Vec<_>>());
        assert_eq!(by_name("nofile"), Some(NOFILE));
        assert_eq!(by_name("files"), None);
        assert!(names().contains("core, cpu"));
    }
}
