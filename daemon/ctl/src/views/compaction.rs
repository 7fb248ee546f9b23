//! How a zygote's memory is backed.

use super::{age, seconds, some, time};
use mpfork_proto::v1;
use serde::Serialize;
use std::time::SystemTime;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CompactionView {
    /// Why there was nothing to do.
    pub(crate) skipped: Option<String>,
    /// Private memory, and how much of it is in huge pages.
    pub(crate) anonymous_bytes: u64,
    pub(crate) huge_bytes: u64,
    /// How old these two are.
    pub(crate) age_seconds: Option<f64>,
    /// The same when everything was preloaded.
    pub(crate) anonymous_bytes_before: u64,
    pub(crate) huge_bytes_before: u64,
    /// What a fork took then, and what it took afterwards.
    pub(crate) fork_seconds_before: Option<f64>,
    pub(crate) fork_seconds_after: Option<f64>,
    /// What all of it took.
    pub(crate) seconds: Option<f64>,
    pub(crate) steps: Vec<StepView>,
    /// How often it was done again, and what that gained.
    pub(crate) times_again: u64,
    pub(crate) bytes_again: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepView {
    pub(crate) name: String,
    pub(crate) seconds: Option<f64>,
    /// How much it was done to.
    pub(crate) bytes: u64,
    /// Why it was not done, or not to all.
    pub(crate) why: Option<String>,
}

impl CompactionView {
    pub(crate) fn new(compaction: v1::Compaction, now: SystemTime) -> Self {
        let sampled = time!(compaction.sampled);
        let steps = compaction.steps.into_iter().map(|step| StepView {
            name: step.name,
            seconds: seconds!(step.time),
            bytes: step.bytes,
            why: some(step.why),
        });
        Self {
            skipped: some(compaction.skipped),
            anonymous_bytes: compaction.anonymous_bytes,
            huge_bytes: compaction.huge_bytes,
            age_seconds: sampled.map(|sampled| age(sampled, now)),
            anonymous_bytes_before: compaction.anonymous_bytes_before,
            huge_bytes_before: compaction.huge_bytes_before,
            fork_seconds_before: seconds!(compaction.fork_before),
            fork_seconds_after: seconds!(compaction.fork_after),
            seconds: seconds!(compaction.time),
            steps: steps.collect(),
            times_again: compaction.times_again,
            bytes_again: compaction.bytes_again,
        }
    }
}
