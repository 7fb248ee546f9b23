//! What is counted of a template.

use hdrhistogram::Histogram;
use mpfork_proto::v1::LatencySummary;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest latency that is told from longer ones, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Counters of one template.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Running or being started.
    pub(crate) placed: AtomicUsize,
    /// Running.
    pub(crate) running: AtomicUsize,
    started: AtomicU64,
    failed: AtomicU64,
    latency: Mutex<Option<Histogram<u64>>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            placed: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            // Two digits are what a person reads; a few kilobytes.
            latency: Mutex::new(Histogram::new_with_bounds(1, LONGEST_US, 2).ok()),
        }
    }
}

impl Stats {
    /// A worker was forked this long after its request was decoded.
    pub(crate) fn record_start(&self, latency: Duration) {
        self.started.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let mut histogram = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = histogram.as_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }

    /// A start gave no worker.
    pub(crate) fn record_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Running or being started.
    pub(crate) fn placed(&self) -> usize {
        self.placed.load(Ordering::Relaxed)
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn latency(&self) -> LatencySummary {
        let histogram = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        histogram
            .as_ref()
            .map_or_else(LatencySummary::default, |histogram| LatencySummary {
                p50_us: histogram.value_at_quantile(0.5),
                p99_us: histogram.value_at_quantile(0.99),
                count: histogram.len(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let stats = Stats::default();
        for micros in 1..=100 {
            stats.record_start(Duration::from_micros(micros));
        }
        let latency = stats.latency();
        assert_eq!(
            (latency.p50_us, latency.p99_us, latency.count),
            (50, 99, 100)
        );
    }
}
