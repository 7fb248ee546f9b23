//! Through a relay of bytes, what needs a process of its own.

use super::context;
use mpfork::{Process, Stdio};
use mpfork_sys::fork::{Forked, fork};
use mpfork_sys::signals;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn has_ended(process: &Process) -> bool {
    let sentinel = process.sentinel();
    let mut polled = [PollFd::new(&sentinel, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
}

/// The child has copies of all the parent has open while the parent waits; and it waits itself.
pub(crate) fn beside_a_forked_child() {
    // Nothing to relay and a runtime of its own: no thread, so that it can fork.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().build().unwrap();
    let sleep = context().command("sleep").arg("600");
    let sleep = sleep.stdout(Stdio::null()).stderr(Stdio::null());
    let sleep = runtime.block_on(sleep.stdin(Stdio::null()).start_async());
    let mut sleep = sleep.unwrap();
    assert!(!sleep.server().descriptors);
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    match fork().unwrap() {
        Forked::Child => {
            drop(ours);
            let done = catch_unwind(AssertUnwindSafe(|| {
                assert!(sleep.is_alive());
                theirs.write_all(b"w").unwrap();
                assert_eq!(sleep.join(None).unwrap().unwrap().exitcode(), -9);
                assert!(!sleep.is_alive());
                theirs.write_all(b"j").unwrap();
                // Lives on for as long as the parent wants.
                assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
            }));
            mpfork_sys::exit::exit_now(i32::from(done.is_err()));
        }
        Forked::Parent(child) => {
            drop(theirs);
            let mut byte = [0];
            ours.read_exact(&mut byte).unwrap();
            assert!(!has_ended(&sleep));
            sleep.kill().unwrap();
            let exit = runtime.block_on(sleep.join_async()).unwrap();
            assert_eq!(exit.exitcode(), -9);
            assert!(has_ended(&sleep) && !sleep.is_alive());
            ours.read_exact(&mut byte).unwrap();
            drop(ours);
            let child = Pid::from_raw(child);
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}

/// A program that SIGPIPE would end is not ended by what the crate writes.
pub(crate) fn with_sigpipe_at_its_default() {
    signals::set_default(Signal::SIGPIPE).unwrap();
    let seq = context().command("seq").arg("300000");
    let mut seq = seq.stdout(Stdio::piped()).start().unwrap();
    drop(seq.take_stdout());
    assert!(seq.join(None).unwrap().unwrap().success());
}
