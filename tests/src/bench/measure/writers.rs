//! What compaction costs those who write: workers that each write to some pages at random.

use super::super::contender::Contender;
use super::super::machine;
use super::super::plan::Plan;
use super::super::protocol::Pages;
use super::super::stats::{as_f64, median, rounded};
use super::super::way::Way;
use mpfork_sys::processes;
use serde::Serialize;
use std::path::Path;

/// One page of so many is written to.
const SHARE: u32 = 100;

#[derive(Debug, Serialize)]
pub(in super::super) struct Writers {
    pub(in super::super) contender: &'static str,
    pub(in super::super) preload_mb: u32,
    pub(in super::super) workers: u32,
    /// Of all workers and whoever forked them.
    pub(in super::super) proportional_mb: f64,
    /// What a worker's writing took: the median.
    pub(in super::super) writing_ms: f64,
}

pub(in super::super) fn measure(
    plan: &Plan,
    mpforkd: &Path,
    skipped: &mut Vec<String>,
) -> anyhow::Result<Vec<Writers>> {
    let preload_mb = plan.writers_mb;
    let mut all = Vec::new();
    if machine::usable_memory() < machine::needed_memory(preload_mb) * 3 / 2 {
        skipped.push(format!(
            "workers that write: no memory for {preload_mb} MB preloaded"
        ));
        return Ok(all);
    }
    // One after another: memory is not a matter of time, and writing is compared within each.
    for way in [Way::Raw, Way::RawCompacted, Way::Mpforkd] {
        if !plan.ways.contains(&way) {
            continue;
        }
        let mut contender = Contender::start(way, preload_mb, mpforkd)?;
        if let Err(error) = contender.warm_up() {
            super::super::ends::check()?;
            skipped.push(format!("workers that write: {error:#}"));
            continue;
        }
        let mut pids = vec![contender.parent()?];
        let mut took = Vec::new();
        for _ in 0..plan.writers {
            let held = contender.hold(1, Pages::OneWrittenOf(SHARE))?;
            pids.extend(held.pids);
            took.extend(held.samples_ns.iter().map(|nanos| as_f64(*nanos) / 1e6));
        }
        let mut proportional = 0;
        for pid in pids {
            proportional += processes::memory(pid)?.proportional;
        }
        contender.release()?;
        contender.end()?;
        all.push(Writers {
            contender: way.name(),
            preload_mb,
            workers: plan.writers,
            proportional_mb: rounded(as_f64(proportional) / 1e6),
            writing_ms: (median(&took) * 1000.0).round() / 1000.0,
        });
    }
    Ok(all)
}
