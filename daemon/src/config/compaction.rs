//! How zygotes are made such that a fork copies little.

use serde::Deserialize;
use std::time::Duration;

/// What is preloaded is moved into huge pages, of which a fork copies little.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompactionConfig {
    /// Whether it is, where the template does not say.
    pub enabled: bool,
    /// How much longer a zygote may take until it is ready.
    #[serde(with = "humantime_serde")]
    pub time_limit: Duration,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            time_limit: mpfork_proto::link::COMPACTION_LIMIT,
        }
    }
}
