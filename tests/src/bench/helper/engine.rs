//! Answers to all requests, by whatever can start a process and wait for it.

use super::super::protocol::{Answer, Figure, Pages, Request, nanos};
use super::held::Pipes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What answers.
pub(super) trait Engine {
    /// One after another, for this figure, until there are enough or the time is over.
    fn latency(&mut self, figure: Figure, count: u32, limit: Duration) -> anyhow::Result<Answer>;

    /// Keeps so many going until it is enough, by how many were started and since when.
    fn keep_going(
        &mut self,
        outstanding: u32,
        enough: &mut dyn FnMut(u64, Instant) -> bool,
    ) -> anyhow::Result<Answer>;

    /// Makes so many that stay.
    fn hold(&mut self, count: u32, pages: Pages) -> anyhow::Result<Answer>;

    /// Lets those that stay end.
    fn release(&mut self) -> anyhow::Result<Answer>;

    fn answer(&mut self, request: &Request) -> anyhow::Result<Answer> {
        match *request {
            Request::Latency {
                figure,
                count,
                millis,
            } => self.latency(figure, count, Duration::from_millis(millis)),
            Request::Rate {
                outstanding,
                millis,
            } => {
                let limit = Duration::from_millis(millis);
                self.keep_going(outstanding, &mut |_, began| began.elapsed() >= limit)
            }
            Request::Burst { count } => {
                self.keep_going(count, &mut |started, _| started >= u64::from(count))
            }
            Request::Hold { count, pages } => self.hold(count, pages),
            Request::Release {} => self.release(),
        }
    }
}

/// What makes processes, one call each.
pub(super) trait Maker {
    type Made;
    /// One that does nothing.
    fn start(&mut self) -> anyhow::Result<Self::Made>;
    /// One that stays.
    fn start_held(&mut self, pipes: &Pipes, pages: Pages) -> anyhow::Result<(i32, Self::Made)>;
    /// Until its exit is known, which must be 0.
    fn wait(&mut self, made: Self::Made) -> anyhow::Result<()>;
    /// Makes one, waits for it, and says what its first own instruction took.
    fn first_instruction(&mut self) -> anyhow::Result<u64>;
}

/// The engine of a maker. With several outstanding the oldest is waited for first, and replaced.
pub(super) struct OneByOne<M: Maker> {
    maker: M,
    pipes: Option<Pipes>,
    held: Vec<M::Made>,
}

impl<M: Maker> OneByOne<M> {
    pub(super) fn new(maker: M) -> Self {
        Self {
            maker,
            pipes: None,
            held: Vec::new(),
        }
    }
}

impl<M: Maker> Engine for OneByOne<M> {
    fn latency(&mut self, figure: Figure, count: u32, limit: Duration) -> anyhow::Result<Answer> {
        sampled(count, limit, || match figure {
            Figure::FirstInstruction => self.maker.first_instruction(),
            Figure::ExitKnown => {
                let asked = Instant::now();
                let made = self.maker.start()?;
                self.maker.wait(made)?;
                Ok(nanos(asked))
            }
        })
    }

    fn keep_going(
        &mut self,
        outstanding: u32,
        enough: &mut dyn FnMut(u64, Instant) -> bool,
    ) -> anyhow::Result<Answer> {
        let mut running = VecDeque::new();
        let mut answer = Answer::default();
        let mut started = 0;
        let began = Instant::now();
        loop {
            while running.len() < outstanding as usize && !enough(started, began) {
                running.push_back(self.maker.start()?);
                started += 1;
            }
            let Some(made) = running.pop_front() else {
                break;
            };
            self.maker.wait(made)?;
            answer.count += 1;
        }
        answer.elapsed_ns = nanos(began);
        Ok(answer)
    }

    fn hold(&mut self, count: u32, pages: Pages) -> anyhow::Result<Answer> {
        let pipes = match &mut self.pipes {
            Some(pipes) => pipes,
            none => none.insert(Pipes::new()?),
        };
        let mut answer = Answer::default();
        let began = Instant::now();
        for _ in 0..count {
            let (pid, made) = self.maker.start_held(pipes, pages)?;
            self.held.push(made);
            answer.pids.push(pid);
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
        for made in std::mem::take(&mut self.held) {
            self.maker.wait(made)?;
            answer.count += 1;
        }
        answer.elapsed_ns = nanos(began);
        Ok(answer)
    }
}

/// Samples until there are enough or the time is over; one at least.
pub(super) fn sampled(
    count: u32,
    limit: Duration,
    mut sample: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Answer> {
    let mut answer = Answer::default();
    let began = Instant::now();
    while answer.count < u64::from(count) && (answer.count == 0 || began.elapsed() < limit) {
        answer.samples_ns.push(sample()?);
        answer.count += 1;
    }
    answer.elapsed_ns = nanos(began);
    Ok(answer)
}
