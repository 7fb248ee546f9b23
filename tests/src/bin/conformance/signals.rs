//! Signals.

use super::common::{differs, ended, hanging, say_error, worker_error};
use mpfork::{Context, Error};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

pub(crate) fn end_a_process(ctx: &Context) {
    let (mut terminated, _) = hanging(ctx);
    terminated.terminate().unwrap();
    terminated.join(None).unwrap();
    assert_eq!(terminated.exitcode(), Some(-15));
    let (mut killed, _) = hanging(ctx);
    killed.kill().unwrap();
    assert_eq!(killed.join(None).unwrap().unwrap().signal(), Some(9));
    let (mut signalled, _) = hanging(ctx);
    signalled.signal(10).unwrap();
    println!("{}", signalled.join(None).unwrap().unwrap());
    assert_eq!(signalled.exitcode(), Some(-10));
}

pub(crate) fn sent_by_itself(ctx: &Context) {
    let killed = |number: i32| -> Result<(), nix::Error> { raise(Signal::try_from(number)?) };
    for number in [9, 15, 10] {
        assert_eq!(ended(ctx.process(killed, number)).0.exitcode(), -number);
    }
    let no_core = ctx.process(|| std::process::abort(), ()).rlimit(4, 0, 0);
    let exit = ended(no_core).0;
    assert_eq!((exit.exitcode(), exit.core_dumped()), (-6, false));
    let error = ctx.spawn(killed, 9).unwrap().join().unwrap_err();
    say_error(&error);
    let error = worker_error::<()>(Err(error));
    assert_eq!((error.exit.signal(), error.failure), (Some(9), None));
}

pub(crate) fn that_do_not_exist(ctx: &Context) {
    let (mut process, _) = hanging(ctx);
    for number in [4711, -1] {
        let error = process.signal(number).unwrap_err();
        assert!(matches!(error, Error::System { .. }), "{error:?}");
        say_error(&error);
    }
    assert!(process.is_alive());
    process.kill().unwrap();
    process.join(None).unwrap();
}

/// Nothing happens to what has ended, nor to who got its pid.
pub(crate) fn to_the_ended(ctx: &Context) {
    let mut process = ctx.process(|| (), ()).start().unwrap();
    process.join(None).unwrap();
    process.terminate().unwrap();
    process.kill().unwrap();
    process.signal(10).unwrap();
    assert_eq!(process.exitcode(), Some(0));
}

/// The calling thread's mask is the worker's.
pub(crate) fn blocked(ctx: &Context) {
    let blocked = || SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(Signal::SIGUSR2));
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR2);
    let before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    assert!(ctx.spawn(blocked, ()).unwrap().join().unwrap());
    before.unwrap().thread_set_mask().unwrap();
    assert!(!ctx.spawn(blocked, ()).unwrap().join().unwrap());
}

fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

/// Functions have the dispositions of the Rust runtime, whatever the caller ignores, but where it forks.
pub(crate) fn ignored_by_the_caller(ctx: &Context) {
    const SIGPIPE: u64 = 1 << 12;
    mpfork_sys::signals::set_ignored(Signal::SIGINT).unwrap();
    mpfork_sys::signals::set_ignored(Signal::SIGUSR1).unwrap();
    let expected = match differs("dispositions") {
        None => SIGPIPE,
        Some(_) => ignored(),
    };
    assert_eq!(ctx.spawn(ignored, ()).unwrap().join().unwrap(), expected);
    // A broken pipe is an error for functions.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let write = || -> std::io::Result<()> {
        use std::io::Write as _;
        let error = std::io::stdout().write_all(b"x\n").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        Ok(())
    };
    let mut process = ctx.process(write, ()).stdout(writer).start().unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
}
