//! Percentiles and rates.

use super::contender::Done;
use hdrhistogram::Histogram;

/// What is known of many processes.
#[derive(Debug)]
pub(super) struct Figures {
    nanos: Histogram<u64>,
    elapsed_ns: u64,
}

impl Figures {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            nanos: Histogram::new(3)?,
            elapsed_ns: 0,
        })
    }

    pub(super) fn add(&mut self, done: &Done) -> anyhow::Result<()> {
        for sample in &done.samples_ns {
            self.nanos.record(*sample)?;
        }
        self.elapsed_ns += done.elapsed_ns;
        Ok(())
    }

    pub(super) fn samples(&self) -> u64 {
        self.nanos.len()
    }

    /// The time that this share of the processes did not exceed, in microseconds.
    pub(super) fn micros(&self, percentile: f64) -> f64 {
        let nanos = self.nanos.value_at_percentile(percentile);
        round_tenth(as_f64(nanos) / 1e3)
    }

    pub(super) fn rate_per_s(&self) -> f64 {
        round_tenth(as_f64(self.samples()) / (as_f64(self.elapsed_ns.max(1)) / 1e9))
    }
}

fn round_tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rate() {
        let mut figures = Figures::new().unwrap();
        let done = Done {
            samples_ns: (1..=100).map(|n| n * 1000).collect(),
            elapsed_ns: 50_000_000,
        };
        figures.add(&done).unwrap();
        assert!((figures.micros(50.0) - 50.0).abs() < 0.2);
        assert!((figures.micros(99.0) - 99.0).abs() < 0.2);
        assert!((figures.rate_per_s() - 2000.0).abs() < 1.0);
        assert_eq!(figures.samples(), 100);
    }
}
