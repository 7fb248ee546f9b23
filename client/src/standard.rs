//! The numbers of standard streams, when a program has closed one of them: whatever is opened next
//! would get that number, be taken for the stream, and be given to workers as theirs.

use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The first number that is no standard stream's.
pub(crate) const FIRST_FREE: i32 = 3;

/// While this lives, nothing that is opened gets a standard stream's number. Closed streams are the
/// null device meanwhile.
#[derive(Debug)]
pub(crate) struct Held {
    _null: Vec<OwnedFd>,
}

/// Holds the numbers of closed standard streams.
pub(crate) fn hold() -> Held {
    let mut null = Vec::new();
    if any_is_closed() {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        // Without a null device, or a free number, what follows fails as well or does no harm.
        while let Ok(opened) = rustix::fs::open("/dev/null", flags, Mode::empty()) {
            if opened.as_raw_fd() >= FIRST_FREE {
                break;
            }
            null.push(opened);
        }
    }
    Held { _null: null }
}

fn any_is_closed() -> bool {
    rustix::io::fcntl_getfd(std::io::stdin()).is_err()
        || rustix::io::fcntl_getfd(std::io::stdout()).is_err()
        || rustix::io::fcntl_getfd(std::io::stderr()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_held_while_the_streams_are_open() {
        assert!(!any_is_closed());
        assert!(hold()._null.is_empty());
    }
}
