//! The figures, for people and as JSON.

use super::Measured;
use super::contender::Figure;
use super::host::Host;
use anyhow::Context as _;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// The contender all others are compared with.
const BASE: &str = "raw";
/// What a worker may take at the median, in multiples of the base.
const TARGET: f64 = 3.0;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    host: Host,
    rows: Vec<Row>,
    #[serde(skip)]
    notes: Vec<String>,
}

/// One contender's figure.
#[derive(Debug, Serialize)]
struct Row {
    contender: &'static str,
    /// How much memory the zygote has preloaded.
    preload_mb: u32,
    figure: &'static str,
    outstanding: u32,
    p50_us: f64,
    p95_us: f64,
    p99_us: f64,
    rate_per_s: f64,
    samples: u64,
}

impl Report {
    pub(super) fn new(host: Host, measured: &[Measured]) -> anyhow::Result<Self> {
        let rows = measured.iter().map(|measured| Row {
            contender: measured.contender,
            preload_mb: measured.preload_mb,
            figure: measured.figure.name(),
            outstanding: measured.outstanding,
            p50_us: measured.figures.micros(50.0),
            p95_us: measured.figures.micros(95.0),
            p99_us: measured.figures.micros(99.0),
            rate_per_s: measured.figures.rate_per_s(),
            samples: measured.figures.samples(),
        });
        let mut notes: Vec<_> = measured
            .iter()
            .map(|measured| format!("{:<15}{}", measured.contender, measured.what))
            .collect();
        notes.sort();
        notes.dedup();
        Ok(Self {
            host,
            rows: rows.collect(),
            notes,
        })
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}\n", self.host.line())?;
        writeln!(
            text,
            "{:<15}{:>8}  {:<18}{:>11}{:>9}{:>9}{:>9}{:>10}{:>9}",
            "contender",
            "preload",
            "figure",
            "outstanding",
            "p50 µs",
            "p95 µs",
            "p99 µs",
            "rate 1/s",
            "p50/raw"
        )?;
        for row in &self.rows {
            let line = format!(
                "{:<15}{:>5} MB  {:<18}{:>11}{:>9.1}{:>9.1}{:>9.1}{:>10.1}",
                row.contender,
                row.preload_mb,
                row.figure,
                row.outstanding,
                row.p50_us,
                row.p95_us,
                row.p99_us,
                row.rate_per_s,
            );
            match self.ratio(row) {
                // A latency with many outstanding is mostly waiting for the others.
                Some(ratio) if row.outstanding == 1 => writeln!(text, "{line}{ratio:>9.2}")?,
                _ => writeln!(text, "{line}")?,
            }
        }
        writeln!(text)?;
        for note in &self.notes {
            writeln!(text, "{note}")?;
        }
        let worker = |name| {
            let is_it = |row: &&Row| {
                let known = row.figure == Figure::ExitKnown.name() && row.outstanding == 1;
                row.contender == name && known && row.preload_mb == 0
            };
            self.ratio(self.rows.iter().find(is_it)?)
        };
        if let (Some(fork), Some(spare)) = (worker("mpforkd"), worker("mpforkd-spares")) {
            let verdict = if fork.min(spare) <= TARGET {
                "met"
            } else {
                "missed"
            };
            writeln!(
                text,
                "\ntarget: a worker takes at most {TARGET} times raw at the median: {fork:.2}, \
                 with spares {spare:.2}: {verdict}"
            )?;
        }
        Ok(())
    }

    /// The median in multiples of the base's.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let base = self.rows.iter().find(|base| {
            base.contender == BASE
                && (base.figure, base.outstanding) == (row.figure, row.outstanding)
                && base.preload_mb == row.preload_mb
        })?;
        Some(row.p50_us / base.p50_us)
    }

    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| format!("can't write {}", path.display()))
    }
}
