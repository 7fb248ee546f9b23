//! A forked child uses connections of its own.

use super::context;
use mpfork_sys::fork::{Forked, fork};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

fn double(n: u32) -> u32 {
    2 * n
}

fn in_the_child(parents: &mut mpfork::Process) {
    let ctx = context();
    assert_eq!(ctx.spawn(double, 21).unwrap().join().unwrap(), 42);
    assert!(parents.is_alive());
    // A worker of the child's that is left to its fate.
    ctx.process(super::owner::hang, ()).start().unwrap();
    // Any client may wait for any worker.
    let brief = std::time::Duration::from_millis(5);
    assert_eq!(parents.join(Some(brief)).unwrap(), None);
}

pub(crate) fn child_and_parent() {
    let ctx = context();
    assert_eq!(ctx.spawn(double, 1).unwrap().join().unwrap(), 2);
    let mut running = ctx.process(super::owner::hang, ()).start().unwrap();
    let mut dropped = Some(ctx.process(super::owner::hang, ()).start().unwrap());
    for round in 0..3 {
        match fork().unwrap() {
            Forked::Child => {
                drop(dropped.take());
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    in_the_child(&mut running);
                }));
                mpfork_sys::exit::exit_now(i32::from(done.is_err()));
            }
            Forked::Parent(child) => {
                // Both at once.
                assert_eq!(ctx.spawn(double, round).unwrap().join().unwrap(), 2 * round);
                let child = Pid::from_raw(child);
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
        }
        assert_eq!(ctx.spawn(double, 5).unwrap().join().unwrap(), 10);
        assert!(running.is_alive(), "the child's end is not the parent's");
    }
    for mut process in dropped.into_iter().chain([running]) {
        assert!(
            process.is_alive(),
            "what a child dropped is still the parent's"
        );
        process.kill().unwrap();
        process.join(None).unwrap();
        assert_eq!(process.exitcode(), Some(-9));
    }
}
