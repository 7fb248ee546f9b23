//! A sentinel is a kqueue with the process's end in it, which nobody takes out: so it stays readable. It
//! can't be passed to another process, nor used after a fork.

use super::queue;
use rustix::event::kqueue::{EventFilter, EventFlags, ProcessEvents, UserDefinedFlags, UserFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

pub(crate) const PASSES: bool = false;

fn process(pid: i32) -> io::Result<Pid> {
    if pid <= 0 {
        // These would name groups.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

pub(crate) fn open(pid: i32) -> io::Result<OwnedFd> {
    let process = process(pid)?;
    let queue = queue::new()?;
    let end = EventFilter::Proc {
        pid: process,
        flags: ProcessEvents::EXIT,
    };
    match queue::add(queue.as_fd(), end, EventFlags::ADD) {
        Ok(()) => Ok(queue),
        // It has ended and nobody has waited for it yet.
        Err(Errno::SRCH) if rustix::process::test_kill_process(process).is_ok() => {
            set_off(queue.as_fd())?;
            Ok(queue)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn of_news(pid: i32, _passed: Option<OwnedFd>) -> io::Result<OwnedFd> {
    match open(pid) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            let queue = queue::new()?;
            set_off(queue.as_fd())?;
            Ok(queue)
        }
        other => other,
    }
}

/// Makes a queue readable for ever.
pub(super) fn set_off(queue: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let user = |flags| EventFilter::User {
        ident: 0,
        flags,
        user_flags: UserDefinedFlags::new(0),
    };
    queue::add(queue, user(UserFlags::NOINPUT), EventFlags::ADD)?;
    queue::add(queue, user(UserFlags::TRIGGER), EventFlags::empty())
}

pub(crate) fn of_peer(_socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Err(unsupported("a socket tells no more than its peer's number"))
}

/// Whether it is a child of this process that has ended and was not waited for. By its number: where
/// somebody else in this process waits for any child, that may be a later child's.
pub(crate) fn is_ended_child(pid: i32, _sentinel: BorrowedFd<'_>) -> io::Result<bool> {
    crate::wait::has_ended(pid)
}

pub(crate) fn signal(pid: i32, sentinel: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let process = process(pid)?;
    if has_ended(sentinel)? {
        return Err(Errno::SRCH.into());
    }
    if signal == 0 {
        return Ok(rustix::process::test_kill_process(process)?);
    }
    let signal = Signal::from_named_raw(signal)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::kill_process(process, signal)?)
}

fn has_ended(sentinel: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let mut polled = [PollFd::from_borrowed_fd(sentinel, PollFlags::IN)];
    let none = Timespec::default();
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&none)))?;
    Ok(!polled[0].revents().is_empty())
}

pub(crate) fn signal_group(_sentinel: BorrowedFd<'_>, _signal: i32) -> io::Result<()> {
    Err(unsupported("groups are signalled by number alone"))
}

pub(crate) fn exit_status(_sentinel: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    Err(unsupported("only its parent learns how a process ended"))
}

fn unsupported(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}
