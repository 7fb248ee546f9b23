//! Threads of the program.

use super::common::{differs, hanging, say_error};
use mpfork::{Context, Error};
use std::time::Duration;

fn square(n: u64) -> u64 {
    n * n
}

pub(crate) fn start_at_once(ctx: &Context) {
    let call = |n| ctx.spawn(square, n).and_then(mpfork::Handle::join);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let builder = std::thread::Builder::new().name(format!("starter-{thread}"));
                let work = move || (0..12).map(|n| call(100 * thread + n)).collect::<Vec<_>>();
                builder.spawn_scoped(scope, work).unwrap()
            })
            .collect();
        for (thread, calls) in (0_u64..).zip(threads) {
            let calls = (0_u64..).zip(calls.join().unwrap());
            for (n, called) in calls.map(|(n, called)| (100 * thread + n, called)) {
                match differs("threads") {
                    None => assert_eq!(called.unwrap(), n * n),
                    Some(_) => {
                        let error = called.unwrap_err();
                        assert!(matches!(error, Error::HasThreads { .. }), "{error:?}");
                        // The main thread, at least, is named as the program is.
                        assert!(error.to_string().contains("conformance"), "{error}");
                    }
                }
            }
        }
    });
    // They have ended.
    assert_eq!(call(7).unwrap(), 49);
}

/// A process started by one thread is joined by another.
pub(crate) fn pass_processes_on(ctx: &Context) {
    let (mut process, gate) = hanging(ctx);
    let joined = std::thread::scope(|scope| {
        let thread = scope.spawn(move || process.join(None));
        std::fs::write(gate, "").unwrap();
        thread.join().unwrap()
    });
    assert!(joined.unwrap().unwrap().success());
    let call = ctx.spawn(square, 4).unwrap();
    let joined = std::thread::scope(|scope| scope.spawn(move || call.join()).join().unwrap());
    assert_eq!(joined.unwrap(), 16);
    let other = std::thread::scope(|scope| {
        let start = || ctx.process(|| (), ()).start();
        scope.spawn(start).join().unwrap()
    });
    match differs("threads") {
        Some(_) => say_error(&other.unwrap_err()),
        None => assert!(other.unwrap().join(None).unwrap().unwrap().success()),
    }
}

/// How many threads a process has. An ended one may linger for a moment.
fn threads_of(pid: u32) -> usize {
    let count = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let brief = Duration::from_millis(500);
    super::common::within(brief, || (count() == 1).then_some(1)).unwrap_or_else(count)
}

/// By the crate.
pub(crate) fn are_not_added(ctx: &Context) {
    let own = std::process::id();
    let expect_one = |when: &str| assert_eq!(threads_of(own), 1, "threads {when}");
    expect_one("before");
    let (mut process, gate) = hanging(ctx);
    expect_one("while a worker runs");
    let brief = Duration::from_millis(5);
    assert_eq!(process.join(Some(brief)).unwrap(), None);
    expect_one("after a join that gave up");
    std::fs::write(gate, "").unwrap();
    process.join(None).unwrap();
    // The worker looks at this process, which waits for it.
    for _ in 0..5 {
        assert_eq!(ctx.spawn(threads_of, own).unwrap().join().unwrap(), 1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let called: Result<usize, Error> =
        runtime.block_on(async { ctx.spawn_async(threads_of, own).await?.join_async().await });
    assert_eq!(called.unwrap(), 1);
    drop(runtime);
    expect_one("after async calls");
}
