//! The figures, for people and as JSON.

mod chart;
mod tables;
mod targets;

use super::host::Host;
use super::measure::alone::Alone;
use super::measure::burst::Bursts;
use super::measure::crowd::Crowd;
use super::measure::drift::Drift;
use super::measure::latency::{Latencies, SpareShare};
use super::measure::memory::Idle;
use super::measure::rate::Rate;
use super::measure::writers::Writers;
use super::plan::Plan;
use super::protocol::Figure;
use super::way::Way;
use anyhow::Context as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use targets::Target;

/// What was measured beside the latencies.
#[derive(Debug, Default, Serialize)]
pub(super) struct Others {
    pub(super) alone: Option<Alone>,
    pub(super) rates: Vec<Rate>,
    pub(super) bursts: Option<Bursts>,
    pub(super) idle: Vec<Idle>,
    pub(super) crowd: Option<Crowd>,
    pub(super) drift: Option<Drift>,
    pub(super) writers: Vec<Writers>,
    /// What was not measured, and why.
    pub(super) skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    host: Host,
    plan: Plan,
    contenders: BTreeMap<&'static str, &'static str>,
    latencies: Vec<Latency>,
    spares: Vec<SpareShare>,
    #[serde(flatten)]
    others: Others,
    targets: Vec<Target>,
}

/// One figure of a contender.
#[derive(Debug, Serialize)]
struct Latency {
    contender: &'static str,
    preload_mb: u32,
    /// What the others had preloaded that took turns with it.
    beside_mb: u32,
    figure: &'static str,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    samples: u64,
}

impl Report {
    pub(super) fn new(host: Host, plan: Plan, latencies: Latencies, others: Others) -> Self {
        let rows = latencies.measured.iter().map(|one| Latency {
            contender: one.way.name(),
            preload_mb: one.preload_mb,
            beside_mb: one.beside_mb,
            figure: one.figure.name(),
            p50_us: one.figures.micros(50.0),
            p95_us: one.figures.micros(95.0),
            p99_us: one.figures.micros(99.0),
            samples: one.figures.samples(),
        });
        let mut report = Self {
            host,
            contenders: plan
                .ways
                .iter()
                .map(|way| (way.name(), way.what()))
                .collect(),
            plan,
            latencies: rows.collect(),
            spares: latencies.spares,
            others,
            targets: Vec::new(),
        };
        report.targets = report.judge();
        report
    }

    /// One measured beside others with as much preloaded.
    fn latency(&self, way: Way, preload_mb: u32, figure: Figure) -> Option<&Latency> {
        self.beside(way, preload_mb, preload_mb, figure)
    }

    /// One with so much preloaded, measured beside others with another amount.
    fn beside(
        &self,
        way: Way,
        preload_mb: u32,
        beside_mb: u32,
        figure: Figure,
    ) -> Option<&Latency> {
        self.latencies.iter().find(|row| {
            (row.contender, row.preload_mb, row.beside_mb, row.figure)
                == (way.name(), preload_mb, beside_mb, figure.name())
        })
    }

    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        write(path, &json)
    }

    pub(super) fn write_svg(&self, path: &Path) -> anyhow::Result<()> {
        write(path, self.chart().as_bytes())
    }
}

/// Whether a report can be written there; what is there stays.
pub(super) fn expect_writable(path: &Path) -> anyhow::Result<()> {
    let opened = File::options().append(true).create(true).open(path);
    opened.with_context(|| format!("can't write {}", path.display()))?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("can't write {}", path.display()))
}
