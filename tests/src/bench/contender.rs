//! What all contenders have in common.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Instant;

/// What is measured of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// From before it was asked for until its exit was known.
    ExitKnown,
    /// From before it was asked for until its first own instruction.
    FirstInstruction,
}

impl Figure {
    /// As in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ExitKnown => "exit_known",
            Self::FirstInstruction => "first_instruction",
        }
    }
}

/// What a contender is asked for: `count` processes made, `outstanding` of them at a time. A first
/// instruction is waited for alone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) figure: Figure,
    pub(super) count: u32,
    pub(super) outstanding: u32,
}

/// What it took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Of each process.
    pub(super) samples_ns: Vec<u64>,
    pub(super) elapsed_ns: u64,
}

/// A way to make processes.
pub(super) trait Contender {
    /// As in the report.
    fn name(&self) -> &'static str;
    /// How much memory is preloaded.
    fn preload_mb(&self) -> u32;
    /// For people.
    fn what(&self) -> &'static str;
    /// What can be measured of it.
    fn figures(&self) -> &'static [(Figure, u32)];
    /// Makes processes that end at once with 0.
    fn run(&mut self, batch: Batch) -> anyhow::Result<Done>;
}

/// What a process makes its processes from may have in memory: so many megabytes of small allocations.
/// The program itself declares that preload: one of this library would be every program's that links it.
pub(super) const PRELOAD_ENV: &str = "MPFORK_BENCH_PRELOAD_MB";

/// Runs a batch with something that can start a process and wait for it. With several outstanding
/// the oldest is waited for first, and replaced.
pub(super) fn run_batch<T>(
    batch: Batch,
    mut start: impl FnMut() -> anyhow::Result<T>,
    mut wait: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    let mut running = VecDeque::new();
    let mut started = 0;
    let began = Instant::now();
    loop {
        while started < batch.count && running.len() < batch.outstanding as usize {
            let asked = Instant::now();
            running.push_back((asked, start()?));
            started += 1;
        }
        let Some((asked, process)) = running.pop_front() else {
            break;
        };
        wait(process)?;
        done.samples_ns.push(nanos(asked));
    }
    done.elapsed_ns = nanos(began);
    Ok(done)
}

/// Runs a batch with something that makes a process and tells its time from the request to its first
/// instruction.
pub(super) fn run_each(
    batch: Batch,
    mut first_instruction: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    let began = Instant::now();
    for _ in 0..batch.count {
        done.samples_ns.push(first_instruction()?);
    }
    done.elapsed_ns = nanos(began);
    Ok(done)
}

/// A time that all processes of the machine agree on, in nanoseconds.
pub(super) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

pub(super) fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
