//! Processes by descriptor: signals without the race of recycled pids, and exit statuses for those
//! who are not the parent.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Opens a pidfd for a child of the caller that it has not waited for, or for any process known to
/// live.
///
/// # Errors
/// As pidfd_open(2).
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::pidfd_open(
        pid,
        rustix::process::PidfdFlags::empty(),
    )?)
}

const SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// Sends a signal to the process; 0 only checks.
///
/// # Errors
/// ESRCH when it has been reaped, EPERM, EINVAL.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(pidfd, signal, 0)
}

/// Sends a signal to the process group that the process leads, even after it was reaped (Linux 6.9).
///
/// # Errors
/// ESRCH when the group is empty, EINVAL on older kernels.
pub fn signal_group(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send(pidfd, signal, SIGNAL_PROCESS_GROUP)
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: pidfd_send_signal takes a descriptor, a number, an optional siginfo (here null) and
    // flags; it touches no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

const SO_PEERPIDFD: libc::c_int = 77;

/// The pidfd of the process that connected a Unix socket (Linux 6.5).
///
/// # Errors
/// ENOPROTOOPT on older kernels, ESRCH or EINVAL when the peer has ended.
pub fn of_peer(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut number: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of_val(&number)).map_err(io::Error::other)?;
    // SAFETY: number and length are ours, outlive the call, and length is number's size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut number).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The first version of the kernel's `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
const _: () = assert!(size_of::<PidfdInfo>() == 64);
/// `_IOWR(0xFF, 11, struct pidfd_info)`, whose size is 64.
const PIDFD_GET_INFO: libc::Ioctl = ((3 << 30) | (64 << 16) | (0xff << 8) | 11) as libc::Ioctl;

/// The raw wait status of a process that has been reaped by whomever (Linux 6.15); `None` while it
/// has not.
///
/// # Errors
/// ENOTTY or EINVAL on older kernels.
pub fn exit_status(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the request's number holds the size of the structure, which is ours and outlives the
    // call; the kernel writes at most that many bytes.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if result != 0 {
        let error = io::Error::last_os_error();
        // Not exited yet: there is nothing to tell about a process without exit information.
        return if error.raw_os_error() == Some(libc::ESRCH) {
            Ok(None)
        } else {
            Err(error)
        };
    }
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_reaped_childs_status_stays_with_its_pidfd() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line; exit 7"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pidfd = open(i32::try_from(child.id()).unwrap()).unwrap();
        let before = exit_status(pidfd.as_fd());
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(7));
        match before {
            Ok(status) => {
                assert_eq!(status, None);
                assert_eq!(exit_status(pidfd.as_fd()).unwrap(), Some(7 << 8));
            }
            Err(error) => assert!(
                matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)),
                "{error}"
            ),
        }
        assert_eq!(
            signal(pidfd.as_fd(), 0).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
    }
}
