//! Resource limits.

use crate::limits::Rlimit;
use std::io;

/// The resources of this platform, by number.
pub const RESOURCES: std::ops::Range<u32> = 0..16;

/// Those that have a name on command lines and in configurations.
pub(crate) const NAMES: &[(&str, u32)] = &[
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// The number of the limit of file sizes.
pub const FSIZE: u32 = libc::RLIMIT_FSIZE;
/// The number of the limit of open files.
pub const NOFILE: u32 = libc::RLIMIT_NOFILE;
/// The number of the limit of processes of one user.
pub const NPROC: u32 = libc::RLIMIT_NPROC;

/// Reads a limit of this process.
pub(crate) fn get(resource: u32) -> io::Result<Rlimit> {
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
pub(crate) fn set(pid: i32, limit: Rlimit) -> io::Result<()> {
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
