//! Reaping children by name.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How a child ended and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The raw wait status.
    pub status: i32,
    /// What it and the children it waited for used.
    pub usage: Usage,
}

/// The resources a process used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Time in its own code.
    pub user: Duration,
    /// Time in the system.
    pub system: Duration,
    /// The most memory it had resident, in bytes.
    pub max_rss_bytes: u64,
    /// Page faults without input.
    pub minor_faults: u64,
    /// Page faults with input.
    pub major_faults: u64,
    /// Times it waited.
    pub voluntary_switches: u64,
    /// Times it was made to wait.
    pub involuntary_switches: u64,
}

/// A child that has ended and is not reaped yet, whatever ended it; `None` while all run.
///
/// # Errors
/// ECHILD when there is no child at all.
pub fn ended_child() -> io::Result<Option<i32>> {
    peek(libc::P_ALL, 0)
}

/// Whether a child has ended that is not reaped yet.
///
/// # Errors
/// ECHILD when it is no child of this process, or has been reaped.
pub fn has_ended(pid: i32) -> io::Result<bool> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(peek(libc::P_PID, id)?.is_some())
}

fn peek(kind: libc::idtype_t, id: libc::id_t) -> io::Result<Option<i32>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: info is ours and outlives the call.
    if unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a structure of integers and pointers, zeroed before the call filled it.
    let info = unsafe { info.assume_init() };
    // SAFETY: after waitid the pid is there; it is 0 when no child has ended.
    let pid = unsafe { info.si_pid() };
    Ok((pid > 0).then_some(pid))
}

/// As [`reap`], of the very child that this pidfd is of: where somebody else has reaped it and another
/// child has got its pid since, that one is left alone.
///
/// # Errors
/// As [`reap`].
pub fn reap_named(pid: i32, pidfd: BorrowedFd<'_>) -> io::Result<Option<Reaped>> {
    // Not waited for yet, so the pid is still its own.
    match crate::platform::sentinel::is_ended_child(pid, pidfd)? {
        true => reap(pid),
        false => Ok(None),
    }
}

/// Reaps a child if it has ended; `None` while it runs.
///
/// # Errors
/// ECHILD when it is no child of this process, or somebody else in this process has reaped it.
pub fn reap(pid: i32) -> io::Result<Option<Reaped>> {
    if pid <= 0 {
        // These would name groups of children.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut status: libc::c_int = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: status and usage are ours and outlive the call.
    let result = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if result == 0 {
        return Ok(None);
    }
    // SAFETY: a structure of integers, zeroed before the call filled it.
    let usage = unsafe { usage.assume_init() };
    Ok(Some(Reaped {
        status,
        usage: Usage {
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            max_rss_bytes: count(usage.ru_maxrss).saturating_mul(MAXRSS_UNIT),
            minor_faults: count(usage.ru_minflt),
            major_faults: count(usage.ru_majflt),
            voluntary_switches: count(usage.ru_nvcsw),
            involuntary_switches: count(usage.ru_nivcsw),
        },
    }))
}

const MAXRSS_UNIT: u64 = if cfg!(target_vendor = "apple") {
    1
} else {
    1024
};

fn count(value: libc::c_long) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_reaped_once() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line; exit 9"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert_eq!(reap(pid).unwrap(), None);
        assert_ne!(ended_child().unwrap(), Some(pid));
        assert!(!has_ended(pid).unwrap());
        drop(child.stdin.take());
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while ended_child().unwrap() != Some(pid) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(has_ended(pid).unwrap());
        let reaped = loop {
            if let Some(reaped) = reap(pid).unwrap() {
                break reaped;
            }
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(reaped.status, 9 << 8);
        assert!(reaped.usage.max_rss_bytes > 0);
        assert_eq!(reap(pid).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert!(has_ended(pid).is_err());
        assert!(reap(-1).is_err());
        // For the standard library's sake; it finds no child any more.
        assert!(child.wait().is_err());
    }
}
