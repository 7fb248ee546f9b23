//! Durations counted in buckets, cheap enough to be counted always.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations counted up to bounds, in seconds; what is longer than the last is counted beyond it.
#[derive(Debug)]
pub(crate) struct Buckets<const N: usize> {
    bounds: [f64; N],
    counts: [AtomicU64; N],
    beyond: AtomicU64,
    nanos: AtomicU64,
}

/// What has been counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    /// Upper bounds with the durations up to each that are over the one before it.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl<const N: usize> Buckets<N> {
    pub(crate) fn new(bounds: [f64; N]) -> Self {
        Self {
            bounds,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            beyond: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
        }
    }

    pub(crate) fn record(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        let count = self.counts.get(at).unwrap_or(&self.beyond);
        count.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self) -> Counted {
        let counts = self.counts.iter().chain([&self.beyond]);
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        Counted {
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_within_its_bucket() {
        let buckets = Buckets::new([0.001, 0.01]);
        for millis in [0, 1, 2, 10, 11] {
            buckets.record(Duration::from_millis(millis));
        }
        let counted = buckets.counted();
        assert_eq!(counted.buckets, [(0.001, 2), (0.01, 2), (f64::INFINITY, 1)]);
        assert_eq!(counted.count, 5);
        assert!((counted.sum - 0.024).abs() < 1e-9);
    }
}
