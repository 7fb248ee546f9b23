//! Async code.

use super::common::{differs, eventually, fifo, hang_at, say_error};
use mpfork::{Context, Error};
use std::time::Duration;
use tokio::runtime::Builder;

fn square(n: u64) -> u64 {
    n * n
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
    let words = (vec!["a", "b"], "-");
    let named = ctx.spawn_registered_async::<String>("join-words", &words);
    assert_eq!(named.await?.join_async().await?, "a-b");
    let mut process = ctx.process(|| (), ()).start_async().await?;
    assert!(process.join_async().await?.success());
    assert!(process.join_async().await?.success());
    Ok(())
}

pub(crate) fn on_one_thread(ctx: &Context) {
    for _ in 0..3 {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(calls(ctx)).unwrap();
    }
    // A runtime that ends takes nothing along.
    let blocking = ctx.spawn(square, 5).unwrap();
    assert_eq!(blocking.join().unwrap(), 25);
}

pub(crate) fn on_many_threads(ctx: &Context) {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(3).enable_all().build().unwrap();
    if differs("threads").is_some() {
        let refused = runtime.block_on(ctx.spawn_async(square, 1));
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::HasThreads { .. }), "{error:?}");
        assert!(error.to_string().contains("tokio"), "{error}");
        return;
    }
    runtime.block_on(calls(ctx)).unwrap();
    let ctx = ctx.clone();
    let task = runtime.spawn(async move { calls(&ctx).await });
    runtime.block_on(task).unwrap().unwrap();
}

pub(crate) fn with_blocking_calls(ctx: &Context) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert_eq!(ctx.spawn(square, 3).unwrap().join().unwrap(), 9);
        let mut process = ctx.process(|| (), ()).start().unwrap();
        assert!(process.join(None).unwrap().unwrap().success());
        // Both kinds in turns.
        let call = ctx.spawn_async(square, 4).await.unwrap();
        assert_eq!(call.join().unwrap(), 16);
        let call = ctx.spawn(square, 5).unwrap();
        assert_eq!(call.join_async().await.unwrap(), 25);
    });
    // Started here, awaited there, and the other way round.
    let gate = fifo();
    let mut process = ctx.process(hang_at, gate.clone()).start().unwrap();
    let awaited = runtime.block_on(async {
        std::fs::write(&gate, "").unwrap();
        process.join_async().await
    });
    assert!(awaited.unwrap().success());
    let within = ctx.process(hang_at, gate.clone());
    let mut within = runtime.block_on(within.start_async()).unwrap();
    std::fs::write(&gate, "").unwrap();
    assert!(within.join(None).unwrap().unwrap().success());
}

pub(crate) fn abandoned_and_taken_up(ctx: &Context) {
    let gate = fifo();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let exit = runtime.block_on(async {
        let mut process = ctx.process(hang_at, gate.clone()).start_async().await?;
        for _ in 0..5 {
            let brief = Duration::from_millis(5);
            let wait = tokio::time::timeout(brief, process.join_async());
            assert!(wait.await.is_err());
        }
        std::fs::write(&gate, "").unwrap();
        process.join_async().await
    });
    assert!(exit.unwrap().success());
}

/// An error, not a panic.
pub(crate) fn without_a_runtime(ctx: &Context) {
    let future = ctx.spawn_async(square, 1);
    let mut future = std::pin::pin!(future);
    let waker = std::task::Waker::noop();
    let polled = future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    let std::task::Poll::Ready(Err(error)) = polled else {
        panic!("{polled:?}");
    };
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    say_error(&error);
}

/// Its connection to mpforkd, where it has one, ends with it.
pub(crate) fn whose_runtime_is_dropped(ctx: &Context) {
    let gate = fifo();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let start = ctx.process(hang_at, gate.clone()).start_async();
    let mut process = runtime.block_on(start).unwrap();
    drop(runtime);
    if differs("runtime").is_some() {
        eventually("it is ended", || (!process.is_alive()).then_some(()));
        return;
    }
    // It is there to be let through.
    std::fs::write(&gate, "").unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
}

/// What the runtime of an async call must drive, it does not.
pub(crate) fn on_a_runtime_that_can_not(ctx: &Context) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.build().unwrap();
    for _ in 0..2 {
        let error = runtime.block_on(ctx.spawn_async(square, 1)).unwrap_err();
        say_error(&error);
    }
    let error = runtime.block_on(ctx.process(|| (), ()).start_async());
    say_error(&error.unwrap_err());
    let mut process = ctx.process(|| (), ()).start().unwrap();
    say_error(&runtime.block_on(process.join_async()).unwrap_err());
    assert!(process.join(None).unwrap().unwrap().success());
    // The blocking forms have a runtime of their own.
    let call = runtime.block_on(async { ctx.spawn(square, 3)?.join() });
    if differs("threads").is_none() {
        assert_eq!(call.unwrap(), 9);
    }
}
