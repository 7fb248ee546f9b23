//! Resource limits: a process sets its own only.

use crate::limits::Rlimit;
use std::io;

/// The resources of this platform, by number.
pub const RESOURCES: std::ops::Range<u32> = 0..9;

/// Those that have a name on command lines and in configurations. Two are one here.
pub(crate) const NAMES: &[(&str, u32)] = &[
    ("as", AS),
    ("core", 4),
    ("cpu", 0),
    ("data", 2),
    ("fsize", 1),
    ("memlock", 6),
    ("nofile", NOFILE),
    ("nproc", NPROC),
    ("rss", AS),
    ("stack", 3),
];

const AS: u32 = 5;
/// The number of the limit of file sizes.
pub const FSIZE: u32 = 1;
/// The number of the limit of open files.
pub const NOFILE: u32 = 8;
/// The number of the limit of processes of one user.
pub const NPROC: u32 = 7;

const _: () = assert!(libc::RLIMIT_AS == 5 && libc::RLIMIT_NPROC == 7 && libc::RLIMIT_NOFILE == 8);
const _: () = assert!(libc::RLIMIT_FSIZE == 1);

pub(crate) fn get(resource: u32) -> io::Result<Rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit goes to a structure of ours that outlives the call.
    let result = unsafe { libc::getrlimit(number(resource)?, &raw mut limit) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Rlimit {
        resource,
        soft: from_system(limit.rlim_cur),
        hard: from_system(limit.rlim_max),
    })
}

pub(crate) fn set(pid: i32, limit: Rlimit) -> io::Result<()> {
    if pid != 0 {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "on this system a process sets no limits but its own",
        ));
    }
    let new = libc::rlimit {
        rlim_cur: limit.soft.min(libc::RLIM_INFINITY),
        rlim_max: limit.hard.min(libc::RLIM_INFINITY),
    };
    // SAFETY: the new limit is a structure of ours that outlives the call.
    let result = unsafe { libc::setrlimit(number(limit.resource)?, &raw const new) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn number(resource: u32) -> io::Result<libc::c_int> {
    libc::c_int::try_from(resource).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The system's unlimited has its highest bit clear.
fn from_system(limit: libc::rlim_t) -> u64 {
    if limit == libc::RLIM_INFINITY {
        u64::MAX
    } else {
        limit
    }
}
