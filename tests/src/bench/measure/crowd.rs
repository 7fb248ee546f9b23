//! Starts with very many workers alive. Raw forks and mpforkd's workers are alive in turns: never more
//! processes than one crowd.

use super::super::contender::Contender;
use super::super::machine;
use super::super::plan::Plan;
use super::super::protocol::Pages;
use super::super::stats::{Figures, as_f64, rounded};
use super::super::way::{REFERENCES, Way};
use super::start::Start;
use mpfork_sys::processes;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub(in super::super) struct Crowd {
    pub(in super::super) alive: u32,
    pub(in super::super) starts: Vec<Start>,
    /// What mpforkd has more than with none, for each.
    pub(in super::super) daemon_bytes_per_worker: f64,
    pub(in super::super) daemon_descriptors_per_worker: f64,
}

/// So many are started at once, on the way to all of them.
const STEP: u32 = 250;
/// Starts under way take more descriptors than workers that run: so many workers fewer leave room for them.
const ROOM: u64 = 300;

pub(in super::super) fn measure(
    plan: &Plan,
    mpforkd: &Path,
    skipped: &mut Vec<String>,
) -> anyhow::Result<Option<Crowd>> {
    let alive = u64::from(plan.crowd);
    let (most, limit) = machine::most_processes();
    if most < alive {
        skipped.push(format!("{alive} workers alive: {limit} allows {most}"));
        return Ok(None);
    }
    machine::raise_open_files(alive)?;
    let mut contenders = Vec::new();
    for way in REFERENCES {
        let mut contender = Contender::start(way, 0, mpforkd)?;
        contender.warm_up()?;
        contenders.push(contender);
    }
    let mut crowd = plan.crowd;
    for contender in &contenders {
        let most = contender
            .most_workers()?
            .unwrap_or(u64::MAX)
            .saturating_sub(ROOM);
        if most < u64::from(crowd) {
            skipped.push(format!(
                "{alive} workers alive: mpforkd has room for {most} with the limit of open files there is"
            ));
            crowd = u32::try_from(most)?;
        }
    }
    let mut figures = Vec::new();
    for way in REFERENCES {
        for figure in way.figures() {
            figures.push((way, *figure, Figures::new()?));
        }
    }
    let mut daemon = Vec::new();
    for _ in 0..plan.crowd_rounds {
        let mut own = figures.iter_mut();
        for contender in &mut contenders {
            let before = daemon_size(contender)?;
            let mut rest = crowd;
            while rest > 0 {
                let step = rest.min(STEP);
                contender.hold(step, Pages::Left)?;
                rest -= step;
            }
            let after = daemon_size(contender)?;
            for &figure in contender.way.figures() {
                let answer = contender.latency(figure, plan.crowd_turn, Duration::from_secs(10))?;
                if let Some((_, _, figures)) = own.next() {
                    figures.add(&answer.samples_ns)?;
                }
            }
            contender.release()?;
            if contender.way == Way::Mpforkd {
                let workers = f64::from(crowd);
                let each = |before: u64, after: u64| (as_f64(after) - as_f64(before)) / workers;
                daemon.push((each(before.0, after.0), each(before.1, after.1)));
            }
        }
    }
    contenders.into_iter().try_for_each(Contender::end)?;
    let starts = figures.iter();
    // The first time tells the most: later its memory is what the time before left.
    let (bytes, descriptors) = daemon.first().copied().unwrap_or_default();
    Ok(Some(Crowd {
        alive: crowd,
        starts: starts
            .map(|(way, figure, figures)| Start::new(*way, *figure, figures))
            .collect(),
        daemon_bytes_per_worker: rounded(bytes),
        daemon_descriptors_per_worker: (descriptors * 1000.0).round() / 1000.0,
    }))
}

/// Its own memory in bytes, and its open descriptors; of none nothing.
fn daemon_size(contender: &Contender) -> anyhow::Result<(u64, u64)> {
    let Some(pid) = contender.daemon_pid() else {
        return Ok((0, 0));
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    Ok((processes::memory(pid)?.private, u64::try_from(descriptors)?))
}
