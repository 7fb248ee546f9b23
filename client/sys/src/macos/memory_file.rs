//! Files that have no name any more: the system has no memory files that can be sealed.

use rustix::fs::FileType;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn create(name: &str) -> io::Result<OwnedFd> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        match options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file.into());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[allow(clippy::unnecessary_wraps)] // other systems can fail
pub(crate) fn seal(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(crate) fn is_fixed(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

pub(crate) fn to_be_read(file: File) -> OwnedFd {
    file.into()
}

/// Whoever has a descriptor of the file can write it, which who has it as memory must not see. So it is
/// closed, and the memory alone stays.
pub(crate) fn kept(_file: OwnedFd) -> Option<OwnedFd> {
    None
}

pub(crate) fn expect_sealed(_file: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "files can't be sealed on this system: whoever sent it could still change it",
    ))
}

/// There are no larger pages to ask for.
pub(crate) fn advise(_mapped: &[u8]) {}
