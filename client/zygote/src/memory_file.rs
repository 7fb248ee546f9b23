//! A file in memory, for payloads too large for a frame.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

/// A sealed memory file: its reader need not fear that it changes.
#[cfg(target_os = "linux")]
pub(crate) fn memory_file(payload: &[u8]) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("mpfork-payload", flags)?);
    file.write_all(payload)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// A file that has no name any more.
#[cfg(not(target_os = "linux"))]
pub(crate) fn memory_file(payload: &[u8]) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpfork-payload-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        match options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(mut file) => {
                std::fs::remove_file(&path)?;
                file.write_all(payload)?;
                return Ok(file.into());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
