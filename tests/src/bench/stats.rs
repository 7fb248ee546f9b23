//! Percentiles and medians.

use hdrhistogram::Histogram;

/// What is known of many processes.
#[derive(Debug)]
pub(super) struct Figures {
    nanos: Histogram<u64>,
}

impl Figures {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            nanos: Histogram::new(3)?,
        })
    }

    pub(super) fn add(&mut self, samples_ns: &[u64]) -> anyhow::Result<()> {
        for sample in samples_ns {
            self.nanos.record(*sample)?;
        }
        Ok(())
    }

    pub(super) fn samples(&self) -> u64 {
        self.nanos.len()
    }

    /// The time that this share of the processes did not exceed, in microseconds.
    pub(super) fn micros(&self, percentile: f64) -> f64 {
        let nanos = self.nanos.value_at_percentile(percentile);
        rounded(as_f64(nanos) / 1e3)
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => 0.0,
        values => {
            let upper = values.len() / 2;
            let lower = (values.len() - 1) / 2;
            f64::midpoint(values[lower], values[upper])
        }
    }
}

/// Processes per second.
pub(super) fn rate(count: u64, elapsed_ns: u64) -> f64 {
    rounded(as_f64(count) / (as_f64(elapsed_ns.max(1)) / 1e9))
}

/// To a tenth.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut figures = Figures::new().unwrap();
        let samples: Vec<u64> = (1..=100).map(|n| n * 1000).collect();
        figures.add(&samples).unwrap();
        assert!((figures.micros(50.0) - 50.0).abs() < 0.2);
        assert!((figures.micros(99.0) - 99.0).abs() < 0.2);
        assert_eq!(figures.samples(), 100);
    }

    #[test]
    fn medians_and_rates() {
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 0.01, "{value}");
        close(median(&[]), 0.0);
        close(median(&[3.0, 1.0, 2.0]), 2.0);
        close(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        close(rate(100, 50_000_000), 2000.0);
    }
}
