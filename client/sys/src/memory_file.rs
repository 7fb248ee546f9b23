//! Files without a name, for payloads too large for a frame.

use crate::platform::memory_file as platform;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A file with these contents that has no name. Where files can be sealed its reader need not fear that
/// it changes.
///
/// # Errors
/// When there is no memory, no room in the temporary folder or no free descriptor.
pub fn of(payload: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(platform::create()?);
    file.write_all(payload)?;
    platform::seal(&file)?;
    Ok(file.into())
}

/// Whether a file can change no more. Where files can't be sealed: whether it is one that can't make its
/// reader wait; a writer can still shorten it, which reading then tells.
#[must_use]
pub fn is_fixed(file: BorrowedFd<'_>) -> bool {
    platform::is_fixed(file)
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
}
