//! Descriptors by number: what a new process must do to become the owner of what it inherited, and
//! to keep nothing else.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};

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
        || option(number, libc::SO_DOMAIN) != Some(libc::AF_UNIX)
        || option(number, libc::SO_TYPE) != Some(kind)
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
    Some((status.st_dev, status.st_ino))
}

fn option(number: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&value)).ok()?;
    // SAFETY: value and length are ours, outlive the call, and length is value's size.
    let result = unsafe {
        libc::getsockopt(
            number,
            libc::SOL_SOCKET,
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
/// When `/proc/self/fd` can't be read.
pub fn open_numbers() -> io::Result<Vec<RawFd>> {
    let directory = rustix::fs::open(
        "/proc/self/fd",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let own = directory.as_raw_fd();
    let mut numbers: Vec<RawFd> = rustix::fs::Dir::new(directory)?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
        .filter(|number| *number != own)
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
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

/// Makes every descriptor from this number on close-on-exec: what this process inherited is not for
/// those it executes.
///
/// # Errors
/// When the system can neither mark a range nor list what is open.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: close_range takes three numbers, and with this flag closes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            RawFd::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == 0 {
        return Ok(());
    }
    for number in open_numbers()?.into_iter().filter(|n| *n >= first) {
        // SAFETY: F_SETFD takes a number; a number that is not open is an error without effect.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: close_range takes three numbers; nothing uses these descriptors any more, by contract.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return Ok(());
    }
    // Refused by an old kernel or a filter: one by one.
    for number in open_numbers()? {
        if (first..=last).contains(&number) {
            // SAFETY: as above.
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}
