//! Waiting for descriptors that tell of the end of a process.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Waits until the descriptor is readable, no longer than `timeout`; whether it is. Needs nothing but
/// the system: it may be called when the process is about to end.
pub(crate) fn wait(sentinel: BorrowedFd<'_>, timeout: Option<Duration>) -> bool {
    // A time no clock can tell is no limit.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let endless = timeout.is_none() || deadline.is_none();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let time = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = [PollFd::new(&sentinel, PollFlags::IN)];
        match poll(&mut polled, time.as_ref()) {
            Ok(0) if endless => {}
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            // What can't be waited for is not waited for.
            Ok(_) | Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn it_is_waited_for_until_its_time() {
        let (read, mut write) = std::io::pipe().unwrap();
        assert!(!wait(read.as_fd(), Some(Duration::ZERO)));
        let begun = Instant::now();
        let brief = Duration::from_millis(5);
        assert!(!wait(read.as_fd(), Some(brief)));
        assert!(begun.elapsed() >= brief);
        write.write_all(b"x").unwrap();
        assert!(wait(read.as_fd(), None));
        assert!(wait(read.as_fd(), Some(Duration::MAX)));
    }
}
