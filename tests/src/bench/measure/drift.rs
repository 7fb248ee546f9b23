//! Whether a zygote's forks become slower by its serving, while workers share its memory.

use super::super::contender::Contender;
use super::super::plan::Plan;
use super::super::protocol::{Figure, Pages, Request};
use super::super::stats::Figures;
use super::super::way::Way;
use super::latency::Latencies;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// How many are the first, and the last.
const ENDS: u32 = 200;

#[derive(Debug, Serialize)]
pub(in super::super) struct Drift {
    pub(in super::super) preload_mb: u32,
    pub(in super::super) starts: u32,
    pub(in super::super) alive: u32,
    /// Medians from the request to the first instruction.
    pub(in super::super) first_us: f64,
    pub(in super::super) last_us: f64,
    /// What mpforkd says a fork takes.
    pub(in super::super) first_fork_us: Option<f64>,
    pub(in super::super) last_fork_us: Option<f64>,
}

pub(in super::super) fn measure(
    plan: &Plan,
    latencies: &Latencies,
    mpforkd: &Path,
    skipped: &mut Vec<String>,
) -> anyhow::Result<Option<Drift>> {
    let takes = |preload_mb: u32| {
        let mut measured = latencies.measured.iter();
        let is_it = |one: &&super::latency::Measured| {
            (one.way, one.figure, one.preload_mb, one.beside_mb)
                == (Way::Mpforkd, Figure::ExitKnown, preload_mb, preload_mb)
        };
        Some(measured.find(is_it)?.figures.micros(50.0) * f64::from(plan.drift) / 1e6)
    };
    let mut sizes = plan.sizes_mb.iter().rev().copied();
    let limit = plan.drift_limit.as_secs_f64();
    let Some(preload_mb) = sizes.find(|size| takes(*size).is_some_and(|seconds| seconds <= limit))
    else {
        skipped.push(format!(
            "{} starts with workers alive: it would take more than {limit} s, or no latency was measured",
            plan.drift
        ));
        return Ok(None);
    };
    let mut contender = Contender::start(Way::Mpforkd, preload_mb, mpforkd)?;
    contender.warm_up()?;
    contender.hold(plan.idle, Pages::Left)?;
    let figure = Figure::FirstInstruction;
    let some_time = Duration::from_secs(60);
    let mut ends = Vec::new();
    for end in 0..2 {
        if end == 1 {
            contender.ask(&Request::Latency {
                figure: Figure::ExitKnown,
                count: plan.drift,
                millis: u64::try_from(2 * plan.drift_limit.as_millis())?,
            })?;
        }
        let mut figures = Figures::new()?;
        let answer = contender.latency(figure, ENDS.min(plan.drift), some_time)?;
        figures.add(&answer.samples_ns)?;
        let fork = contender.template()?.fork_time;
        let fork = fork.and_then(|time| Duration::try_from(time).ok());
        ends.push((
            figures.micros(50.0),
            fork.map(|time| time.as_secs_f64() * 1e6),
        ));
    }
    contender.release()?;
    contender.end()?;
    Ok(Some(Drift {
        preload_mb,
        starts: plan.drift,
        alive: plan.idle,
        first_us: ends[0].0,
        last_us: ends[1].0,
        first_fork_us: ends[0].1,
        last_fork_us: ends[1].1,
    }))
}
