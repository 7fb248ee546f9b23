//! Stopping this process as the terminal's ^Z would.

use mpfork_sys::signals::is_ignored;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::{Pid, getpgrp, getsid};

/// Whether anybody would make this process go on again: a shell with job control has put it in a
/// group of its own. Without one, stopping would be the end.
pub(crate) fn is_possible() -> bool {
    let session = getsid(None);
    !is_ignored(Signal::SIGTSTP as i32) && session.is_ok_and(|session| session != getpgrp())
}

/// Keeps the calling thread from taking SIGTSTP. Threads it starts inherit that.
pub(crate) fn without_tstp<T>(run: impl FnOnce() -> T) -> T {
    let mut only = SigSet::empty();
    only.add(Signal::SIGTSTP);
    // Neither fails for a valid set.
    let _ = only.thread_block();
    let result = run();
    let _ = only.thread_unblock();
    result
}

/// Stops this process, with `whole_job` all of its group. Returns when it goes on.
pub(crate) fn stop(whole_job: bool) {
    without_tstp(|| {
        if whole_job {
            // The others: a pipeline stops as a whole. Our own copy of it is dropped by the signal
            // that makes us go on.
            let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
        }
        let _ = raise(Signal::SIGSTOP);
    });
}
