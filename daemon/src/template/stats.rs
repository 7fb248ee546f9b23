//! What is counted of a template.

use super::buckets::{Buckets, Counted};
use hdrhistogram::Histogram;
use mpfork_proto::v1::LatencySummary;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest latency that is told from longer ones, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Upper bounds of start latencies, in seconds: a fork takes a fraction of a millisecond, or
/// milliseconds for much memory; a start that waits for a preload takes as long as that.
const STARTS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0,
];
/// Upper bounds of preload times.
const PRELOADS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// How launches of zygotes came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launches {
    pub(crate) ready: u64,
    pub(crate) failed: u64,
}

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
    starts: Buckets<{ STARTS.len() }>,
    preloads: Buckets<{ PRELOADS.len() }>,
    launches_failed: AtomicU64,
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
            starts: Buckets::new(STARTS),
            preloads: Buckets::new(PRELOADS),
            launches_failed: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// A worker was forked this long after its request was decoded.
    pub(crate) fn record_start(&self, latency: Duration) {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.starts.record(latency);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let mut histogram = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = histogram.as_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }

    /// A zygote was launched: ready after so long, or not at all.
    pub(crate) fn record_launch(&self, ready_after: Option<Duration>) {
        match ready_after {
            Some(time) => self.preloads.record(time),
            None => {
                self.launches_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Start latencies.
    pub(crate) fn starts(&self) -> Counted {
        self.starts.counted()
    }

    /// How long zygotes took to be ready.
    pub(crate) fn preloads(&self) -> Counted {
        self.preloads.counted()
    }

    pub(crate) fn launches(&self) -> Launches {
        Launches {
            ready: self.preloads.counted().count,
            failed: self.launches_failed.load(Ordering::Relaxed),
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
