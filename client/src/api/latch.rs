//! A descriptor that becomes readable once and stays so, and what makes it so when it is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::Arc;

/// What becomes readable.
#[derive(Debug, Clone)]
pub(super) struct Latch(Arc<OwnedFd>);

impl AsFd for Latch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes its latch readable when it is dropped. What a forked child drops means nothing.
#[derive(Debug)]
pub(super) struct Release {
    latch: Latch,
    pid: u32,
}

impl Drop for Release {
    fn drop(&mut self) {
        if self.pid == process::id() {
            // Fails for no latch.
            let _ = mpfork_sys::latch::release(self.latch.as_fd());
        }
    }
}

/// A latch, and what releases it.
pub(super) fn latch() -> io::Result<(Latch, Release)> {
    let latch = Latch(Arc::new(mpfork_sys::latch::new()?));
    let release = Release {
        latch: latch.clone(),
        pid: process::id(),
    };
    Ok((latch, release))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn is_readable(latch: &Latch) -> bool {
        let mut polled = [PollFd::new(latch, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn it_stays_readable_for_all_once_released() {
        let (latch, release) = latch().unwrap();
        let copy = latch.as_fd().try_clone_to_owned().unwrap();
        assert!(!is_readable(&latch));
        drop(release);
        for _ in 0..3 {
            assert!(is_readable(&latch));
            assert_eq!(rustix::io::read(&copy, &mut [0; 8]), Ok(8));
        }
    }

    #[test]
    fn another_process_does_not_release_it() {
        let (latch, mut release) = latch().unwrap();
        release.pid += 1;
        drop(release);
        assert!(!is_readable(&latch));
    }
}
