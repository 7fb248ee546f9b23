//! Descriptors by number: what a new process must do to become the owner of what it inherited, and
//! to keep nothing else.

use crate::platform::descriptors as platform;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Takes the descriptor of a Unix stream socket that the process inherited under this number, and
/// makes it close-on-exec. `None` when the number is not such a socket.
///
/// To be called at the start of a program, once for a number: whoever else holds the number as its
/// own would share it.
#[must_use]
pub fn adopt_socket(number: RawFd) -> Option<OwnedFd> {
    adopt(number, libc::SOCK_STREAM)
}

/// As [`adopt_socket`], a Unix datagram socket.
#[must_use]
pub fn adopt_datagram_socket(number: RawFd) -> Option<OwnedFd> {
    adopt(number, libc::SOCK_DGRAM)
}

fn adopt(number: RawFd, kind: libc::c_int) -> Option<OwnedFd> {
    if number < 0
        || !platform::is_unix_socket(number)
        || option(number, libc::SOL_SOCKET, libc::SO_TYPE) != Some(kind)
    {
        return None;
    }
    // SAFETY: F_SETFD takes a number; the descriptor is open, as it has just answered.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result != 0 {
        return None;
    }
    // SAFETY: the descriptor is open and nothing in this program owns it: it was inherited.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What tells a process of a descriptor that it inherits under a number: the number, and which one it
/// is. Another one under that number, in another process that inherits the text, is another one.
///
/// # Errors
/// As fstat(2).
pub fn name(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<String> {
    Ok(format!(
        "{number}:{}",
        rustix::fs::fstat(descriptor)?.st_ino
    ))
}

/// As [`adopt_socket`], of the socket that [`name`] named. `None` also when there is another one under
/// its number.
#[must_use]
pub fn adopt_named(text: &OsStr) -> Option<OwnedFd> {
    let (number, inode) = text.to_str()?.split_once(':')?;
    let number: RawFd = number.parse().ok()?;
    let inode: u64 = inode.parse().ok()?;
    // Nothing is owned yet should it be another one.
    (inode_of(number) == Some(inode))
        .then(|| adopt_socket(number))
        .flatten()
}

fn inode_of(number: RawFd) -> Option<u64> {
    file_at(number).map(|(_, inode)| inode)
}

/// Which file is open under a number: device and inode.
#[must_use]
pub fn file_at(number: RawFd) -> Option<(u64, u64)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat takes a number, which need not be open, and writes to the structure, which is ours.
    if unsafe { libc::fstat(number, status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it succeeded, so the structure was filled.
    let status = unsafe { status.assume_init() };
    Some((platform::device(&status), status.st_ino))
}

/// An option of a socket that is a number.
pub(crate) fn option(number: RawFd, level: libc::c_int, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&value)).ok()?;
    // SAFETY: value and length are ours, outlive the call, and length is value's size.
    let result = unsafe {
        libc::getsockopt(
            number,
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(value)
}

/// The numbers of this process's open descriptors, in order.
///
/// # Errors
/// When the system does not list them.
pub fn open_numbers() -> io::Result<Vec<RawFd>> {
    platform::open_numbers()
}

/// Opens a directory to be entered: where the system can, one that may be entered and not listed too.
///
/// # Errors
/// As open(2).
pub fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | platform::ENTER;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// What an open descriptor is, for people: a path, or the system's word for it; empty when it does not
/// tell.
#[must_use]
pub fn describe(number: RawFd) -> String {
    platform::describe(number)
}

/// The directory or file that a descriptor stands for, as a path by which calls that know only paths
/// reach it.
///
/// Where the system has a path for the descriptor itself, others may rename what it stands for; where it
/// tells the present path only, they must not.
///
/// # Errors
/// When the system tells none.
pub fn path_through(descriptor: BorrowedFd<'_>) -> io::Result<PathBuf> {
    platform::path_through(descriptor)
}

/// Puts a descriptor at a number of the caller's choice, without close-on-exec; whatever was there is
/// closed.
///
/// For a new process that lays out its descriptors: nothing in it may own the number.
///
/// # Errors
/// As dup2(2); EBADF for a number over the limit of open files.
pub fn place(descriptor: OwnedFd, number: RawFd) -> io::Result<()> {
    if descriptor.as_raw_fd() == number {
        let kept = descriptor.into_raw_fd();
        // SAFETY: the descriptor is open; F_SETFD takes a number.
        let result = unsafe { libc::fcntl(kept, libc::F_SETFD, 0) };
        return if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        };
    }
    // SAFETY: dup2 takes two numbers; nothing in a new process owns the second, by contract.
    let result = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
    if result == number {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// As [`place`], with close-on-exec: what is open under the number is hidden from this process, and is
/// not for those it executes.
///
/// # Errors
/// As [`place`].
pub fn cover(descriptor: OwnedFd, number: RawFd) -> io::Result<()> {
    place(descriptor, number)?;
    // SAFETY: F_SETFD takes a number; it was just made one that is open.
    match unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes every descriptor but those named.
///
/// For a new process that lays out its descriptors: nothing in it may use the others any more.
///
/// # Errors
/// When the system can neither close a range nor list what is open.
pub fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = kept.to_vec();
    kept.sort_unstable();
    kept.dedup();
    let mut from: RawFd = 0;
    for number in kept.iter().copied().chain([RawFd::MAX]) {
        if number > from {
            close_range(from, number - 1)?;
        }
        from = number.saturating_add(1);
    }
    Ok(())
}

/// Closes every descriptor that this process inherited when it was executed, and that is not close-on-exec
/// by now, but for the standard streams.
///
/// For a new process that has taken what is meant for it: nothing in it may use the others.
pub fn close_inherited() {
    for number in open_numbers().unwrap_or_default() {
        // SAFETY: F_GETFD takes a number; one that is not open is an error without effect.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if number > 2 && flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: close takes a number; nothing uses these descriptors, by contract.
            unsafe { libc::close(number) };
        }
    }
}

/// Makes every descriptor from this number on close-on-exec: what this process inherited is not for
/// those it executes.
///
/// # Errors
/// When the system can neither mark a range nor list what is open.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    if platform::mark_range(first) {
        return Ok(());
    }
    for number in open_numbers()?.into_iter().filter(|n| *n >= first) {
        // SAFETY: F_SETFD takes a number; a number that is not open is an error without effect.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if platform::close_range(first, last) {
        return Ok(());
    }
    let numbers = match open_numbers() {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            // Listing takes a number. All below the limit are in use: this one too, which is to be closed.
            // SAFETY: as below.
            unsafe { libc::close(first) };
            open_numbers()?
        }
        listed => listed?,
    };
    for number in numbers {
        if (first..=last).contains(&number) {
            // SAFETY: close takes a number; nothing uses these descriptors any more, by contract.
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}
