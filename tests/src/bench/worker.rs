//! Workers of the crate, of this very program: by whatever start method and server a context has.

use super::contender::{Batch, Done, Figure, nanos, now_ns, run_batch, run_each};
use anyhow::ensure;
use mpfork::Context;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// What each worker runs.
fn nothing() {}

pub(super) struct Workers {
    context: Context,
    /// For what the blocking calls can't do: to have several outstanding in one thread.
    runtime: Runtime,
}

impl Workers {
    pub(super) fn new(context: Context) -> anyhow::Result<Self> {
        Ok(Self {
            context,
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    async fn run_outstanding(context: &Context, batch: Batch) -> anyhow::Result<Done> {
        let began = Instant::now();
        let mut done = Done::default();
        let mut running = JoinSet::new();
        for _ in 0..batch.count {
            if running.len() >= batch.outstanding as usize
                && let Some(sample) = running.join_next().await
            {
                done.samples_ns.push(sample??);
            }
            let context = context.clone();
            running.spawn(async move {
                let asked = Instant::now();
                let mut worker = context.process(nothing, ()).start_async().await?;
                check(worker.join_async().await?.exitcode())?;
                anyhow::Ok(nanos(asked))
            });
        }
        while let Some(sample) = running.join_next().await {
            done.samples_ns.push(sample??);
        }
        done.elapsed_ns = nanos(began);
        Ok(done)
    }
}

impl Workers {
    pub(super) fn run(&self, batch: Batch) -> anyhow::Result<Done> {
        let context = &self.context;
        if batch.figure == Figure::FirstInstruction {
            return run_each(batch, || {
                let asked = now_ns();
                let began = context.spawn(now_ns, ())?.join()?;
                Ok(began.saturating_sub(asked))
            });
        }
        if batch.outstanding > 1 {
            return self.runtime.block_on(Self::run_outstanding(context, batch));
        }
        run_batch(
            batch,
            || Ok(context.process(nothing, ()).start()?),
            |mut worker| {
                worker.join(None)?;
                check(worker.exitcode().unwrap_or(-1))
            },
        )
    }
}

fn check(exitcode: i32) -> anyhow::Result<()> {
    ensure!(
        exitcode == 0,
        "a worker that does nothing ended with {exitcode}"
    );
    Ok(())
}
