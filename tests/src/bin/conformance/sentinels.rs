//! Sentinels.

use super::common::{LONG, hanging};
use mpfork::{Context, Process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::Duration;

/// Which of them have ended; waits until one has.
pub(crate) fn poll_all(processes: &[&Process], limit: Duration) -> Vec<bool> {
    let mut polled: Vec<_> = processes
        .iter()
        .map(|process| PollFd::new(*process, PollFlags::IN))
        .collect();
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit))).unwrap();
    let ended = polled.iter();
    ended
        .map(|fd| fd.revents().contains(PollFlags::IN))
        .collect()
}

pub(crate) fn polled_together(ctx: &Context) {
    let mut running: Vec<_> = (0..6).map(|_| hanging(ctx)).collect();
    // Whichever ends first is seen first.
    for at in [3, 0, 3, 1, 1, 0] {
        let processes: Vec<_> = running.iter().map(|(process, _)| process).collect();
        assert_eq!(
            poll_all(&processes, Duration::ZERO),
            vec![false; processes.len()]
        );
        std::fs::write(&running[at].1, "").unwrap();
        let mut expected = vec![false; processes.len()];
        expected[at] = true;
        assert_eq!(poll_all(&processes, LONG), expected);
        assert_eq!(running[at].0.exitcode(), Some(0));
        running.remove(at);
    }
}

pub(crate) fn of_the_killed(ctx: &Context) {
    let running: Vec<_> = (0..3).map(|_| hanging(ctx).0).collect();
    running[1].kill().unwrap();
    let processes: Vec<_> = running.iter().collect();
    assert_eq!(poll_all(&processes, LONG), [false, true, false]);
    assert_eq!(running[1].exitcode(), Some(-9));
    for process in &running {
        process.kill().unwrap();
    }
    for process in &processes {
        assert_eq!(poll_all(&[process], LONG), [true]);
        assert_eq!(process.exitcode(), Some(-9));
    }
}
