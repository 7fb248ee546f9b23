//! A descriptor that becomes readable once and stays so, for whoever has a copy of it. The end of a pipe
//! would not do: a forked child that lives on has a copy of the other end, which then never hangs up.

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::Arc;

/// More than anybody takes by reading, each time 1; and the most there is.
const MANY: u64 = u64::MAX - 1;

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
            // Can't block, nor fail: nothing was added before.
            let _ =
                rustix::io::retry_on_intr(|| rustix::io::write(&self.latch, &MANY.to_ne_bytes()));
        }
    }
}

/// A latch, and what releases it.
pub(super) fn latch() -> io::Result<(Latch, Release)> {
    let latch = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::SEMAPHORE)?;
    let latch = Latch(Arc::new(latch));
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
