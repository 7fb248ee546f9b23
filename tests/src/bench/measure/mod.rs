//! The measurements.

pub(super) mod alone;
pub(super) mod burst;
pub(super) mod crowd;
pub(super) mod drift;
pub(super) mod latency;
pub(super) mod memory;
pub(super) mod rate;
pub(super) mod start;
pub(super) mod writers;
