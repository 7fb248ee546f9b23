//! What is counted of a template.

use super::buckets::{Buckets, Counted};
use hdrhistogram::Histogram;
use mpfork_proto::v1::{LatencySummary, StartWay, StartsByWay};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    forks: Latencies,
    spares: Latencies,
    spawns: Latencies,
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
            forks: Latencies::default(),
            spares: Latencies::default(),
            spawns: Latencies::default(),
            preloads: Buckets::new(PRELOADS),
            launches_failed: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// There was a worker this long after its request was decoded.
    pub(crate) fn record_start(&self, way: StartWay, latency: Duration) {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.by_way(way).record(latency);
    }

    fn by_way(&self, way: StartWay) -> &Latencies {
        match way {
            StartWay::Spare => &self.spares,
            StartWay::Spawn => &self.spawns,
            StartWay::Fork | StartWay::Unspecified => &self.forks,
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

    /// Start latencies of those that came about in this way.
    pub(crate) fn starts(&self, way: StartWay) -> Counted {
        self.by_way(way).buckets.counted()
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
        let ways = [&self.forks, &self.spares, &self.spawns];
        let all = ways.into_iter().filter_map(Latencies::histogram);
        let all = all.reduce(|mut all, way| {
            // All have the same bounds.
            let _ = all.add(&way);
            all
        });
        all.as_ref().map(summary).unwrap_or_default()
    }

    /// The same by way, of the ways that occurred.
    pub(crate) fn by_ways(&self) -> Vec<StartsByWay> {
        [StartWay::Fork, StartWay::Spare, StartWay::Spawn]
            .into_iter()
            .filter_map(|way| {
                let latency = self.by_way(way).histogram()?;
                (!latency.is_empty()).then(|| StartsByWay {
                    way: way.into(),
                    latency: Some(summary(&latency)),
                })
            })
            .collect()
    }
}

/// Start latencies of one way.
#[derive(Debug)]
struct Latencies {
    histogram: Mutex<Option<Histogram<u64>>>,
    buckets: Buckets<{ STARTS.len() }>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            // Two digits are what a person reads; a few kilobytes.
            histogram: Mutex::new(Histogram::new_with_bounds(1, LONGEST_US, 2).ok()),
            buckets: Buckets::new(STARTS),
        }
    }
}

impl Latencies {
    fn record(&self, latency: Duration) {
        self.buckets.record(latency);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = self.lock().as_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }

    fn histogram(&self) -> Option<Histogram<u64>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Histogram<u64>>> {
        self.histogram
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn summary(histogram: &Histogram<u64>) -> LatencySummary {
    LatencySummary {
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        count: histogram.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let stats = Stats::default();
        for micros in 1..=100 {
            let way = if micros % 4 == 0 {
                StartWay::Spare
            } else {
                StartWay::Fork
            };
            stats.record_start(way, Duration::from_micros(micros));
        }
        let latency = stats.latency();
        assert_eq!(
            (latency.p50_us, latency.p99_us, latency.count),
            (50, 99, 100)
        );
        let counts = stats.by_ways();
        let counts = counts.iter().map(|starts| starts.latency.unwrap().count);
        assert_eq!(counts.collect::<Vec<_>>(), [75, 25]);
    }
}
