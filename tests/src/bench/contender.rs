//! What all contenders have in common.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Instant;

/// What a contender is asked for: `count` processes made, `outstanding` of them at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) count: u32,
    pub(super) outstanding: u32,
}

/// What it took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Of each process, from before it was asked for until its exit was known.
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

pub(super) fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
