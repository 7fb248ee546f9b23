//! Sealed memory files.

use crate::descriptors::file_at;
use rustix::fs::{FsWord, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

pub(crate) fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3. From then on an administrator can demand it.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        made => Ok(made?),
    }
}

pub(crate) fn seal(file: &File) -> io::Result<()> {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(rustix::fs::fcntl_add_seals(file, seals)?)
}

pub(crate) fn is_fixed(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_get_seals(file)
        .is_ok_and(|seals| seals.contains(SealFlags::SHRINK | SealFlags::WRITE))
}

/// Another descriptor of the file, which can't write. Before Linux 6.7 a sealed file is not mapped, as
/// shared memory, by one that could, and memory mapped by this one can't be made writable.
pub(crate) fn to_be_read(file: File) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // Without /proc, or without a free descriptor, the file's own does on newer systems.
    opened_to_read(&file, &path).unwrap_or_else(|| file.into())
}

/// What is found there, if it is this very file. Another system may be mounted at /proc, and a file of it
/// would be one that can change.
fn opened_to_read(file: &File, path: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let is_it = file_at(opened.as_raw_fd())? == file_at(file.as_raw_fd())?;
    is_it.then_some(opened)
}

/// Others can rely on a sealed file, so they may have it.
#[allow(clippy::unnecessary_wraps)] // elsewhere they can't
pub(crate) fn kept(file: OwnedFd) -> Option<OwnedFd> {
    Some(file)
}

/// Whether it is a file in memory, of ordinary pages, that can change no more.
pub(crate) fn expect_sealed(file: BorrowedFd<'_>) -> io::Result<()> {
    const TMPFS: FsWord = 0x0102_1994;
    let why = if !is_fixed(file) {
        "it is not sealed: whoever sent it could still change it"
    } else if rustix::fs::fstatfs(file)?.f_type != TMPFS {
        // Of huge pages there may be too few by the time they are read.
        "it is not a file of ordinary memory"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Asks for huge pages, which the system gives to shared memory where its administrator allows it
/// (`/sys/kernel/mm/transparent_hugepage/shmem_enabled`): whoever reads all of it then has 512 times fewer
/// page faults. Where it does not this costs two calls.
pub(crate) fn advise(mapped: &[u8]) {
    // From Linux 6.1 on.
    const MADV_COLLAPSE: libc::c_int = 25;
    for advice in [libc::MADV_HUGEPAGE, MADV_COLLAPSE] {
        let start = mapped.as_ptr().cast_mut().cast();
        // SAFETY: the range is one that is mapped, and the advice changes by which pages it is, not what is
        // in them.
        let result = unsafe { libc::madvise(start, mapped.len(), advice) };
        if result != 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_not_taken_for_it() {
        let [file, other] = [(); 2].map(|()| File::from(create("mpfork-test").unwrap()));
        let at = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = opened_to_read(&file, &at(&file)).unwrap();
        assert!(rustix::io::write(&opened, b"x").is_err());
        for path in [&at(&other), "/dev/null", "/nonesuch"] {
            assert!(opened_to_read(&file, path).is_none(), "{path}");
        }
    }
}
