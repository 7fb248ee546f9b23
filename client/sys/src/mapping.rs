//! Files that can change no more, as memory.

use crate::memory_file::Draft;
use crate::platform::memory_file as platform;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// The contents of a file without a name, mapped to be read. Nobody can write them any more: where files
/// can be sealed this one is, and elsewhere it has no descriptor left.
///
/// Processes forked from this one have them too, and it costs the fork nothing: the page tables of such
/// memory are not copied.
#[derive(Debug)]
pub struct Mapping {
    /// Of the first byte; of none where there is none.
    address: NonNull<libc::c_void>,
    length: usize,
    file: Option<OwnedFd>,
}

// SAFETY: it is memory that nobody writes, this process included, and belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Finishes a file and maps it.
    ///
    /// # Errors
    /// When there is no memory or no free descriptor. As [`Draft::append`] in a process that was forked
    /// while it was written.
    pub fn of(draft: Draft) -> io::Result<Self> {
        let length = length(draft.length())?;
        let file = platform::to_be_read(draft.finish()?);
        // Written by this process alone through a descriptor that it alone had, and finished.
        let address = map(file.as_fd(), length)?;
        // From here on it is unmapped when it is dropped.
        let mut mapping = Self {
            address,
            length,
            file: None,
        };
        platform::advise(mapping.bytes());
        mapping.file = platform::kept(file);
        Ok(mapping)
    }

    /// Maps a file that another process has made, which is to have this length.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::InvalidData`] when it may still change, has another length, or is no file
    /// in memory; of kind [`io::ErrorKind::Unsupported`] where files can't be sealed. When there is no
    /// memory.
    pub fn received(file: OwnedFd, named: u64) -> io::Result<Self> {
        platform::expect_sealed(file.as_fd())?;
        let file = File::from(file);
        // Once it is sealed its length is what it stays.
        let found = file.metadata()?.len();
        if found != named {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it has {found} bytes instead of {named}"),
            ));
        }
        let length = length(named)?;
        let address = map(file.as_fd(), length)?;
        Ok(Self {
            address,
            length,
            file: Some(file.into()),
        })
    }

    /// The contents, from the beginning of a page.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let start = self.address.cast::<u8>().as_ptr();
        // SAFETY: without contents the address is a dangling one of a page's alignment, which is one for no
        // bytes. Otherwise `map` gave it, so it is readable for this length until `drop`; the file has as
        // many bytes, so that each page is there, and neither this process nor another one can change or
        // shorten it: it was sealed first, or nothing is left by which it could be written. `length` has
        // checked that a slice may be as long.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }

    /// The file, to be passed to other processes; none where a receiver could not rely on it.
    #[must_use]
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(OwnedFd::as_fd)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: `map` gave this address for this length, it is unmapped nowhere else, and what was
            // lent of it has ended.
            unsafe { libc::munmap(self.address.as_ptr(), self.length) };
        }
    }
}

/// A length that a slice may have.
fn length(bytes: u64) -> io::Result<usize> {
    isize::try_from(bytes)
        .map(isize::cast_unsigned)
        .map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// Maps the first bytes of a file to be read, at an address of the system's choice. Where there are none
/// nothing is mapped.
fn map(file: BorrowedFd<'_>, length: usize) -> io::Result<NonNull<libc::c_void>> {
    if length == 0 {
        return Ok(NonNull::<Page>::dangling().cast());
    }
    // SAFETY: a new mapping at an address that the system chooses touches no memory that anybody has.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // The system maps nothing there by itself.
    NonNull::new(address).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// The least that a page is.
#[repr(align(4096))]
struct Page;

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::memory_file;

    fn mapped(bytes: &[u8]) -> Mapping {
        let mut draft = Draft::new("mpfork-test").unwrap();
        draft.append(bytes).unwrap();
        Mapping::of(draft).unwrap()
    }

    #[test]
    fn what_was_written_is_there() {
        for length in [0, 1, 4096, 4097, 3 << 20] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
            let mapping = mapped(&bytes);
            assert_eq!(mapping.bytes(), bytes);
            assert_eq!(mapping.bytes().as_ptr().addr() % 4096, 0);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_mapped_again_by_its_file() {
        for bytes in [&b"to be shared"[..], b""] {
            let mapping = mapped(bytes);
            let file = mapping.file().unwrap().try_clone_to_owned().unwrap();
            drop(mapping);
            let again = Mapping::received(file, bytes.len() as u64).unwrap();
            assert_eq!(again.bytes(), bytes);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_writes_it() {
        use std::io::{Seek as _, Write as _};
        use std::os::unix::fs::FileExt as _;
        let mapping = mapped(&[7; 5000]);
        let file = mapping.file().unwrap();
        let denied = |result: io::Result<()>| {
            let kind = result.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::PermissionDenied);
        };
        // Through another descriptor of it that may write, if only it could.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match File::options().read(true).write(true).open(path) {
            Ok(mut writable) => {
                denied(writable.write_all_at(b"x", 0));
                denied(writable.set_len(1));
                denied(writable.set_len(1 << 20));
                writable.seek(io::SeekFrom::End(0)).unwrap();
                denied(writable.write_all(b"x"));
                let number = writable.as_raw_fd();
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                let flags = libc::MAP_SHARED;
                // SAFETY: a new mapping at an address that the system chooses.
                let address =
                    unsafe { libc::mmap(std::ptr::null_mut(), 5000, protection, flags, number, 0) };
                assert_eq!(address, libc::MAP_FAILED);
                let flags = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
                // SAFETY: it takes numbers.
                assert_eq!(unsafe { libc::fallocate(number, flags, 0, 4096) }, -1);
            }
            Err(error) => denied(Err(error)),
        }
        let address = mapping.address.as_ptr();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: should it succeed, then this test fails and nobody has written.
        assert_eq!(unsafe { libc::mprotect(address, 5000, protection) }, -1);
        assert_eq!(mapping.bytes(), [7; 5000]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_may_change_is_refused() {
        let refused = |file: OwnedFd, named: u64| {
            let error = Mapping::received(file, named).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            error.to_string()
        };
        for named in [0, 4, 6, u64::MAX] {
            let told = refused(memory_file::of(b"12345").unwrap(), named);
            assert!(told.contains("5 bytes"), "{told}");
        }
        let named = tempfile::tempfile().unwrap();
        assert!(refused(named.into(), 0).contains("sealed"));
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(refused(reader.into(), 0).contains("sealed"));
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        for seals in [
            SealFlags::empty(),
            SealFlags::WRITE,
            SealFlags::SHRINK | SealFlags::GROW,
            SealFlags::SHRINK | SealFlags::FUTURE_WRITE,
        ] {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = memfd_create("mpfork-test", flags).unwrap();
            rustix::io::write(&file, b"12345").unwrap();
            fcntl_add_seals(&file, seals).unwrap();
            assert!(refused(file, 5).contains("sealed"), "{seals:?}");
        }
    }

    #[test]
    fn no_slice_is_longer() {
        assert!(length(u64::MAX).is_err());
        assert!(length(isize::MAX as u64).is_ok());
    }
}
