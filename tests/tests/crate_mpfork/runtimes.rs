//! Threads, async code, and both at once.

use super::common::{check, check_daemon, context};
use super::user;
use mpfork::Context;
use tokio::runtime::Builder;

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn many_threads_share_one_connection() {
    check(|server| {
        let instance = server.ctx.server().unwrap().instance;
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    for round in 0..12 {
                        let n = 100 * thread + round;
                        let call = server.ctx.spawn(square, n).unwrap();
                        assert_eq!(call.join().unwrap(), n * n);
                    }
                });
            }
        });
        assert_eq!(server.ctx.server().unwrap().instance, instance);
    });
}

async fn blocking_calls(ctx: &Context) {
    assert_eq!(ctx.spawn(square, 3).unwrap().join().unwrap(), 9);
    let mut process = ctx.process(|| (), ()).start().unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
    // Both kinds in turns.
    let call = ctx.spawn_async(square, 4).await.unwrap();
    assert_eq!(call.join().unwrap(), 16);
    let call = ctx.spawn(square, 5).unwrap();
    assert_eq!(call.join_async().await.unwrap(), 25);
}

#[test]
fn blocking_calls_work_within_async_code() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        blocking_calls(&ctx).await;
    });
    check(|server| {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let ctx = server.ctx.clone();
        let task = runtime.spawn(async move { blocking_calls(&ctx).await });
        runtime.block_on(task).unwrap();
    });
}

#[test]
fn a_process_started_blocking_is_awaited_by_async_code_and_the_other_way_round() {
    check(|server| {
        let gate = user::fifo(&server.folder);
        let blocking = server.ctx.process(user::hang_at, gate.clone());
        let mut blocking = blocking.start().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let awaited = runtime.block_on(async {
            let waiting = blocking.join_async();
            tokio::pin!(waiting);
            let brief = std::time::Duration::from_millis(30);
            assert!(tokio::time::timeout(brief, &mut waiting).await.is_err());
            std::fs::write(&gate, "").unwrap();
            waiting.await
        });
        assert!(awaited.unwrap().success());
        let within = server.ctx.process(user::hang_at, gate.clone());
        let mut within = runtime.block_on(within.start_async()).unwrap();
        std::fs::write(&gate, "").unwrap();
        // The runtime that started it is not driven meanwhile.
        assert!(within.join(None).unwrap().unwrap().success());
        assert_eq!(within.exitcode(), Some(0));
    });
}
