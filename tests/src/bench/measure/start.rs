//! What starts of one contender took under some condition.

use super::super::protocol::Figure;
use super::super::stats::Figures;
use super::super::way::Way;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(in super::super) struct Start {
    pub(in super::super) contender: &'static str,
    pub(in super::super) figure: &'static str,
    pub(in super::super) p50_us: f64,
    pub(in super::super) p99_us: f64,
}

impl Start {
    pub(super) fn new(way: Way, figure: Figure, figures: &Figures) -> Self {
        Self {
            contender: way.name(),
            figure: figure.name(),
            p50_us: figures.micros(50.0),
            p99_us: figures.micros(99.0),
        }
    }
}
