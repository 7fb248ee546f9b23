//! Workers of the crate, of this very program: by whatever start method and server a context has.

use super::super::protocol::{Answer, Figure, Pages, nanos, now_ns};
use super::engine::{Engine, sampled};
use super::held::Pipes;
use anyhow::ensure;
use mpfork::{Context, Process, StartMethod};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// What each worker runs.
fn nothing() {}

/// The name by which the program registers what a worker that stays runs.
pub(super) const HOLD: &str = "bench-hold";

pub(super) struct Workers {
    context: Context,
    /// For what the blocking calls can't do: to have several outstanding in one thread.
    runtime: Runtime,
    pipes: Option<Pipes>,
    held: Vec<Process>,
}

impl Workers {
    pub(super) fn new(context: Context) -> anyhow::Result<Self> {
        Ok(Self {
            context,
            runtime: Builder::new_current_thread().enable_all().build()?,
            pipes: None,
            held: Vec::new(),
        })
    }
}

impl Engine for Workers {
    fn latency(&mut self, figure: Figure, count: u32, limit: Duration) -> anyhow::Result<Answer> {
        sampled(count, limit, || match figure {
            Figure::FirstInstruction => {
                let asked = now_ns();
                let began = self.context.spawn(now_ns, ())?.join()?;
                Ok(began.saturating_sub(asked))
            }
            Figure::ExitKnown => {
                let asked = Instant::now();
                let mut worker = self.context.process(nothing, ()).start()?;
                worker.join(None)?;
                check(worker.exitcode().unwrap_or(-1))?;
                Ok(nanos(asked))
            }
        })
    }

    fn keep_going(
        &mut self,
        outstanding: u32,
        enough: &mut dyn FnMut(u64, Instant) -> bool,
    ) -> anyhow::Result<Answer> {
        self.runtime.block_on(async {
            let mut answer = Answer::default();
            let mut running = JoinSet::new();
            let mut started = 0;
            let began = Instant::now();
            loop {
                while running.len() < outstanding as usize && !enough(started, began) {
                    let context = self.context.clone();
                    started += 1;
                    running.spawn(async move {
                        let mut worker = context.process(nothing, ()).start_async().await?;
                        check(worker.join_async().await?.exitcode())
                    });
                }
                let Some(ended) = running.join_next().await else {
                    break;
                };
                ended??;
                answer.count += 1;
            }
            answer.elapsed_ns = nanos(began);
            Ok(answer)
        })
    }

    fn hold(&mut self, count: u32, pages: Pages) -> anyhow::Result<Answer> {
        let pipes = match &mut self.pipes {
            Some(pipes) => pipes,
            none => none.insert(Pipes::new()?),
        };
        let mut answer = Answer::default();
        let began = Instant::now();
        let started = self.runtime.block_on(async {
            let mut starting = JoinSet::new();
            for _ in 0..count {
                let context = self.context.clone();
                let hold = match context.start_method() {
                    StartMethod::Fork => pipes.hold_forked(pages),
                    _ => pipes.hold(pages),
                };
                starting.spawn(async move {
                    context.process_registered(HOLD, &hold).start_async().await
                });
            }
            starting.join_all().await
        });
        for worker in started {
            let worker = worker?;
            answer.pids.push(worker.pid());
            self.held.push(worker);
        }
        for _ in 0..count {
            answer.samples_ns.push(pipes.next()?);
            answer.count += 1;
        }
        answer.elapsed_ns = nanos(began);
        Ok(answer)
    }

    fn release(&mut self) -> anyhow::Result<Answer> {
        if let Some(pipes) = self.pipes.take() {
            pipes.let_go();
        }
        let mut answer = Answer::default();
        let began = Instant::now();
        let held = std::mem::take(&mut self.held);
        self.runtime.block_on(async {
            for mut worker in held {
                check(worker.join_async().await?.exitcode())?;
                answer.count += 1;
            }
            answer.elapsed_ns = nanos(began);
            Ok(answer)
        })
    }
}

fn check(exitcode: i32) -> anyhow::Result<()> {
    ensure!(
        exitcode == 0,
        "a worker that does nothing ended with {exitcode}"
    );
    Ok(())
}
