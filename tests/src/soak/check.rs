//! What mpforkd is when nothing runs, and what it must not have become.

use super::PATIENCE;
use super::gauge::Gauge;
use crate::harness::process;
use anyhow::{bail, ensure};
use mpfork::api::Client;
use mpfork_proto::v1::WorkerTotals;
use std::time::{Duration, Instant};

/// By so much mpforkd's memory may differ between two quiet moments, whatever was in between: what the
/// allocator holds of the largest moment. It does not depend on the number of starts; at 100,000 it
/// finds a leak of 84 bytes a start.
const SLACK: u64 = 8 << 20;
/// By so much more while it is busy, for each worker at a time: a call with its buffers, a start, an
/// exit. They take some 10 KiB.
const BUSY: u64 = 64 << 10;

/// mpforkd when no worker runs and nobody but the observer is connected.
#[derive(Debug)]
pub(super) struct Quiet {
    pub(super) gauge: Gauge,
    /// Descriptors of all zygotes.
    zygote_descriptors: usize,
    pub(super) totals: WorkerTotals,
}

impl Quiet {
    /// Waits until all have gone.
    pub(super) async fn reached(observer: &Client, pid: i32) -> anyhow::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = observer.get_status().await?;
            let totals = status.workers.unwrap_or_default();
            let zygotes = status.templates.iter().filter(|t| t.zygote_pid != 0);
            let zygotes: Vec<i32> = zygotes.map(|template| template.zygote_pid).collect();
            // Zombies that its zygotes have not reaped and what workers left would be seen here.
            let mut left = process::descendants(pid);
            left.retain(|process| !zygotes.contains(&process.pid));
            if totals.running == 0 && status.connections == 1 && left.is_empty() {
                let mut zygote_descriptors = 0;
                for zygote in zygotes {
                    zygote_descriptors += Gauge::of(zygote)?.descriptors;
                }
                return Ok(Self {
                    gauge: Gauge::of(pid)?,
                    zygote_descriptors,
                    totals,
                });
            }
            if Instant::now() > deadline {
                bail!(
                    "left: {} workers, {} connections, processes {left:?}",
                    totals.running,
                    status.connections
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that nothing has piled up since then, nor did while so many workers ran at a time.
    pub(super) fn compare(&self, before: &Self, most: &Gauge, busy: u64) -> anyhow::Result<()> {
        let totals = &self.totals;
        ensure!(
            totals.started == totals.exited,
            "{} workers started and {} exited",
            totals.started,
            totals.exited
        );
        let (now, then) = (self.gauge.rss, before.gauge.rss);
        ensure!(
            now <= then + SLACK,
            "mpforkd grew from {then} to {now} bytes"
        );
        ensure!(
            most.rss <= then + SLACK + busy * BUSY,
            "mpforkd grew from {then} to {} bytes under load",
            most.rss
        );
        let (now, then) = (self.gauge.descriptors, before.gauge.descriptors);
        ensure!(now <= then, "mpforkd had {then} descriptors and has {now}");
        let (now, then) = (self.zygote_descriptors, before.zygote_descriptors);
        ensure!(now == then, "zygotes had {then} descriptors and have {now}");
        Ok(())
    }
}
