//! How processes end.

use super::common::{LONG, ended, hanging, say_error, worker_error};
use super::sentinels::poll_all;
use mpfork::{Context, Stdio};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn exit_with(code: i32) {
    #[allow(clippy::exit)]
    std::process::exit(code)
}

pub(crate) fn codes(ctx: &Context) {
    let code = |n: u8| ctx.process(|n: u8| ExitCode::from(n), n);
    for n in [0, 1, 77, 128, 255] {
        assert_eq!(ended(code(n)).0.exitcode(), i32::from(n));
    }
    let fine = |n: u8| -> std::io::Result<ExitCode> { Ok(ExitCode::from(n)) };
    assert_eq!(ended(ctx.process(fine, 5)).0.exitcode(), 5);
    let (exit, out, err) = ended(ctx.process(|| (), ()));
    assert_eq!((exit.exitcode(), exit.failure()), (0, None));
    assert_eq!(
        (exit.code(), exit.signal(), exit.lost()),
        (Some(0), None, None)
    );
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
    println!("{exit}");
    println!("{}", ended(code(3)).0);
}

/// `process::exit` keeps its code, and what was printed is not lost.
pub(crate) fn inside(ctx: &Context) {
    for code in [0, 1, 3, 101, 255] {
        assert_eq!(ended(ctx.process(exit_with, code)).0.exitcode(), code);
    }
    let never = || -> ! {
        print!("no line break");
        #[allow(clippy::exit)]
        std::process::exit(9)
    };
    let (exit, out, _) = ended(ctx.process(never, ()));
    assert_eq!((exit.exitcode(), out.as_str()), (9, "no line break"));
}

pub(crate) fn without_a_result(ctx: &Context) {
    for code in [0, 4] {
        let error = ctx.spawn(exit_with, code).unwrap().join().unwrap_err();
        say_error(&error);
        let error = worker_error::<()>(Err(error));
        assert_eq!((error.exit.exitcode(), error.failure), (code, None));
    }
}

pub(crate) fn once_the_sentinel_is_readable(ctx: &Context) {
    let code = |n: u8| ctx.process(|n: u8| ExitCode::from(n), n).start().unwrap();
    for round in 0..40_u8 {
        let process = code(round);
        assert_eq!(poll_all(&[&process], LONG), [true]);
        assert_eq!(process.exitcode(), Some(i32::from(round)));
        assert!(!process.is_alive());
    }
    // The same without waiting in the kernel.
    for round in 0..20_u8 {
        let process = code(round);
        while process.is_alive() {
            std::hint::spin_loop();
        }
        assert_eq!(process.exitcode(), Some(i32::from(round)));
    }
}

pub(crate) fn joined_within_a_time(ctx: &Context) {
    let (mut process, gate) = hanging(ctx);
    let begun = Instant::now();
    let limit = Duration::from_millis(50);
    assert_eq!(process.join(Some(limit)).unwrap(), None);
    assert!(begun.elapsed() >= limit);
    assert_eq!(process.join(Some(Duration::ZERO)).unwrap(), None);
    assert_eq!((process.exitcode(), process.exit()), (None, None));
    std::fs::write(gate, "").unwrap();
    let exit = process.join(Some(LONG)).unwrap().unwrap();
    assert!(exit.success() && exit.run_time() >= limit);
    assert!(exit.usage().is_some());
    // Again and again.
    assert_eq!(process.join(None).unwrap(), Some(exit.clone()));
    assert_eq!(process.join(Some(Duration::ZERO)).unwrap(), Some(exit));
    let mut process = ctx.process(|| (), ()).start().unwrap();
    assert!(process.join(Some(Duration::MAX)).unwrap().is_some());
}

/// What it leaves behind in its group is told and ended.
pub(crate) fn with_leftovers(ctx: &Context) {
    let leave = |time: String| -> std::io::Result<()> {
        let mut sleep = std::process::Command::new("/bin/sleep");
        sleep.arg(time).spawn().map(drop)
    };
    let builder = ctx.process(leave, "600".to_owned());
    let mut process = builder.stdout(Stdio::null()).start().unwrap();
    let exit = process.join(None).unwrap().unwrap();
    let leftovers: Vec<_> = exit.leftovers().collect();
    let [(pid, "sleep")] = leftovers[..] else {
        panic!("{leftovers:?}");
    };
    super::common::eventually("it is gone", || (!super::common::lives(pid)).then_some(()));
}
