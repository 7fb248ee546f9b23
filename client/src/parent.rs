//! The process that started this one.

use crate::current::current_process;
use crate::method::StartMethod;
use crate::sentinel;
use mpfork_proto::v1;
use mpfork_sys::processes::start_time;
use mpfork_sys::sentinel as by_descriptor;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The process that started this worker. Mirrors what `multiprocessing.parent_process()` returns.
#[derive(Debug, Clone)]
pub struct ParentProcess {
    name: String,
    pid: i32,
    /// Absent where it has ended, or can't be seen from here.
    pidfd: Option<Arc<OwnedFd>>,
}

/// The process that started this worker; `None` in a process that mpfork did not start.
///
/// Mirrors `multiprocessing.parent_process()`. It is the process that asked for the worker. The worker's
/// parent to the system is that one by start method `fork` alone, otherwise its server or a zygote.
///
/// ```
/// assert!(mpfork::parent_process().is_none());
/// ```
#[must_use]
pub fn parent_process() -> Option<ParentProcess> {
    let parent = mpfork_zygote::current()?.parent.clone();
    let v1::Parent {
        pid,
        name,
        start_time,
        ..
    } = parent.unwrap_or_default();
    Some(ParentProcess {
        name,
        pid,
        pidfd: open(pid, start_time).map(Arc::new),
    })
}

/// The process of this pid that began at this time, not another one that has got its pid since.
fn open(pid: i32, began: u64) -> Option<OwnedFd> {
    let pidfd = by_descriptor::open(pid).ok()?;
    // Whose time can't be read was hidden by the system.
    let same = began == 0 || start_time(Some(pid)).is_none_or(|time| time == began);
    same.then_some(pidfd)
}

impl ParentProcess {
    /// Its name: `MainProcess` where it is no worker itself. Mirrors `name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pid. It is 0, as getppid(2) has it, where the process is not seen from here: in another pid
    /// namespace, or behind a relay of bytes to mpforkd. Mirrors `pid`.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs. False also where it can't be seen: see [`Self::pid`]. Mirrors `is_alive`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.join(Some(Duration::ZERO))
    }

    /// Waits for its end, no longer than `timeout`; whether it has ended. At once where it can't be
    /// seen. Mirrors `join`.
    #[must_use]
    pub fn join(&self, timeout: Option<Duration>) -> bool {
        self.sentinel()
            .is_none_or(|pidfd| sentinel::wait(pidfd, timeout))
    }

    /// A descriptor that becomes readable when it ends; `None` when it has ended, or can't be seen.
    /// Mirrors `sentinel`.
    #[must_use]
    pub fn sentinel(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|pidfd| pidfd.as_fd())
    }
}

/// Whether this process is a worker that was started with the daemon flag.
pub(crate) fn is_daemonic() -> bool {
    let parent = mpfork_zygote::current().and_then(|current| current.parent.as_ref());
    parent.is_some_and(|parent| parent.daemon)
}

/// The socket of the mpforkd that made this worker; `None` where none did.
pub(crate) fn server_socket() -> Option<Arc<Path>> {
    let parent = mpfork_zygote::current()?.parent.as_ref()?;
    let path = Path::new(OsStr::from_bytes(&parent.socket));
    (!parent.socket.is_empty()).then(|| Arc::from(path))
}

/// What a worker that this process starts is told of it.
pub(crate) fn own(daemon: bool, method: StartMethod) -> v1::Parent {
    v1::Parent {
        pid: 0,
        name: current_process().name,
        start_time: own_start_time(),
        daemon,
        start_method: method.name().to_owned(),
        socket: Vec::new(),
    }
}

/// When this process began; 0 where the system does not tell.
fn own_start_time() -> u64 {
    static KNOWN: Mutex<Option<(u32, u64)>> = Mutex::new(None);
    let pid = std::process::id();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match *known {
        Some((of, time)) if of == pid => time,
        _ => {
            let time = start_time(None).unwrap_or(0);
            *known = Some((pid, time));
            time
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_with_its_pid() {
        let pid = std::process::id().cast_signed();
        let own = own(true, StartMethod::Spawn);
        assert!(own.start_time > 0 && own.start_time == own_start_time());
        assert_eq!((own.name.as_str(), own.pid), ("MainProcess", 0));
        assert!(open(pid, own.start_time).is_some());
        assert!(open(pid, own.start_time + 1).is_none());
        assert!(open(pid, 0).is_some());
        assert!(open(0, 0).is_none());
    }
}
