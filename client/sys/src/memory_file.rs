//! Files without a name: for payloads too large for a frame, and for memory that processes share.

use crate::limits;
use crate::platform::memory_file as platform;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

/// A file with these contents that has no name. Where files can be sealed its reader need not fear that
/// it changes.
///
/// # Errors
/// When there is no memory, no room in the temporary folder or no free descriptor, or the limit of file
/// sizes is lower.
pub fn of(payload: &[u8]) -> io::Result<OwnedFd> {
    let mut draft = Draft::new("mpfork-payload")?;
    draft.append(payload)?;
    Ok(draft.finish()?.into())
}

/// Whether a file can change no more. Where files can't be sealed: whether it is one that can't make its
/// reader wait; a writer can still shorten it, which reading then tells.
#[must_use]
pub fn is_fixed(file: BorrowedFd<'_>) -> bool {
    platform::is_fixed(file)
}

/// A file without a name that is being written, by one process, from its beginning to its end. Nobody is
/// given its descriptor before it is finished.
#[derive(Debug)]
pub struct Draft {
    file: File,
    length: u64,
    writer: u32,
}

impl Draft {
    /// An empty one. The name is for people, where the system shows one.
    ///
    /// # Errors
    /// When there is no memory, no room in the temporary folder or no free descriptor.
    pub fn new(name: &str) -> io::Result<Self> {
        Ok(Self {
            file: platform::create(name)?.into(),
            length: 0,
            writer: std::process::id(),
        })
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds to its end: all of it or, on an error, nothing.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::FileTooLarge`] where the limit of file sizes is lower, which holds for
    /// files in memory too. When there is no memory or no room. In a process that was forked while the
    /// file was being written: the file is the other one's.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.expect_writer()?;
        let length = self.length.checked_add(bytes.len() as u64);
        let length = length.ok_or(io::ErrorKind::FileTooLarge)?;
        // Who writes beyond it is sent SIGXFSZ, and by default ends.
        if length > limits::get(limits::FSIZE)?.soft {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        self.file.write_all_at(bytes, self.length)?;
        self.length = length;
        Ok(())
    }

    /// The file as it is to stay.
    pub(crate) fn finish(self) -> io::Result<File> {
        self.expect_writer()?;
        // What a write left that failed half-way.
        self.file.set_len(self.length)?;
        platform::seal(&self.file)?;
        Ok(self.file)
    }

    fn expect_writer(&self) -> io::Result<()> {
        if self.writer == std::process::id() {
            return Ok(());
        }
        Err(io::Error::other(
            "it is filled by the process from which this one was forked",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _};
    use std::os::fd::AsFd as _;

    #[test]
    fn what_was_written_is_read_and_fixed() {
        let mut file = File::from(of(b"payload").unwrap());
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "payload");
        assert!(is_fixed(file.as_fd()));
        let (_end, pipe) = std::io::pipe().unwrap();
        assert!(!is_fixed(pipe.as_fd()));
    }

    #[test]
    fn what_a_failed_write_left_is_cut_off() {
        let mut draft = Draft::new("mpfork-test").unwrap();
        draft.append(b"first, ").unwrap();
        // As when there was room for a part of it.
        draft.file.write_all_at(b"a part", draft.length).unwrap();
        draft.append(b"2nd").unwrap();
        let mut text = String::new();
        draft.finish().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "first, 2nd");
    }

    #[test]
    fn another_process_does_not_go_on_with_it() {
        let mut draft = Draft::new("mpfork-test").unwrap();
        draft.writer ^= 1;
        assert!(draft.append(b"x").is_err());
        assert_eq!(draft.length(), 0);
        assert!(draft.finish().is_err());
    }
}
