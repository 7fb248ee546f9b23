//! Threads, async code, and both at once.

use super::common::{check, check_daemon, context};
use super::user;
use mpfork::{Context, Error};
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

/// A process started by one thread is joined by another.
#[test]
fn processes_move_between_threads() {
    check(|server| {
        let process = server.ctx.process(|| (), ()).start().unwrap();
        let joined = std::thread::scope(|scope| {
            let mut process = process;
            let thread = scope.spawn(move || process.join(None));
            thread.join().unwrap()
        });
        assert!(joined.unwrap().unwrap().success());
    });
}

async fn calls(ctx: &Context) -> Result<(), Error> {
    let started: Vec<_> = (0..30_u64)
        .map(|n| {
            let ctx = ctx.clone();
            tokio::spawn(async move { ctx.spawn_async(square, n).await?.join_async().await })
        })
        .collect();
    for (n, call) in (0_u64..).zip(started) {
        assert_eq!(call.await.unwrap()?, n * n);
    }
    let mut process = ctx.process(|| (), ()).start_async().await?;
    assert!(process.join_async().await?.success());
    assert!(process.join_async().await?.success());
    let mut command = ctx.command("true").start_async().await?;
    assert!(command.join_async().await?.success());
    Ok(())
}

#[test]
fn async_code_on_a_current_thread_runtime() {
    check(|server| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(calls(&server.ctx)).unwrap();
    });
}

#[test]
fn async_code_on_a_multi_thread_runtime() {
    check(|server| {
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(calls(&server.ctx)).unwrap();
        let ctx = server.ctx.clone();
        let task = runtime.spawn(async move { calls(&ctx).await });
        runtime.block_on(task).unwrap().unwrap();
    });
}

/// A runtime that ends takes its connection along, and nothing else.
#[test]
fn runtimes_come_and_go() {
    check(|server| {
        for n in 0..5 {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let call = async { server.ctx.spawn_async(square, n).await?.join_async().await };
            assert_eq!(runtime.block_on(call).unwrap(), n * n);
        }
        let blocking = server.ctx.spawn(square, 5).unwrap();
        assert_eq!(blocking.join().unwrap(), 25);
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

#[test]
fn an_abandoned_wait_can_be_taken_up_again() {
    check(|server| {
        let gate = user::fifo(&server.folder);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let exit = runtime.block_on(async {
            let started = server.ctx.process(user::hang_at, gate.clone());
            let mut process = started.start_async().await.unwrap();
            for _ in 0..5 {
                let brief = std::time::Duration::from_millis(5);
                let wait = tokio::time::timeout(brief, process.join_async());
                assert!(wait.await.is_err());
            }
            std::fs::write(&gate, "").unwrap();
            process.join_async().await
        });
        assert!(exit.unwrap().success());
    });
}

/// Async calls outside of any runtime are an error, not a panic.
#[test]
fn async_calls_need_a_runtime() {
    check(|server| {
        let future = server.ctx.spawn_async(square, 1);
        let mut future = std::pin::pin!(future);
        let waker = std::task::Waker::noop();
        let polled = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        let std::task::Poll::Ready(Err(error)) = polled else {
            panic!("{polled:?}");
        };
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    });
}
