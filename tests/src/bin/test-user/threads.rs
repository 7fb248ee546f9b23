//! The crate adds no thread to the program.

use crate::context;
use mpfork::Error;

/// How many threads a process has. An ended one may linger for a moment.
fn threads_of(pid: u32) -> usize {
    let count = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    mpfork_tests::harness::wait::within(std::time::Duration::from_millis(500), || {
        (count() == 1).then_some(1)
    })
    .unwrap_or_else(count)
}

pub(crate) fn none_is_added() {
    let own = std::process::id();
    let expect_one = |when: &str| assert_eq!(threads_of(own), 1, "threads {when}");
    expect_one("before");
    let ctx = context();
    ctx.server().unwrap();
    expect_one("once connected");
    let mut process = ctx.process(crate::owner::hang, ()).start().unwrap();
    expect_one("while a worker runs");
    let brief = std::time::Duration::from_millis(5);
    assert_eq!(process.join(Some(brief)).unwrap(), None);
    expect_one("after a join that gave up");
    process.kill().unwrap();
    process.join(None).unwrap();
    for _ in 0..20 {
        // The worker looks at this process, which waits for it.
        assert_eq!(ctx.spawn(threads_of, own).unwrap().join().unwrap(), 1);
    }
    let mut command = ctx.command("true").start().unwrap();
    command.join(None).unwrap();
    expect_one("after a command");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let called: Result<usize, Error> =
        runtime.block_on(async { ctx.spawn_async(threads_of, own).await?.join_async().await });
    assert_eq!(called.unwrap(), 1);
    drop(runtime);
    expect_one("after async calls");
}
