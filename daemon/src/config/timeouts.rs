//! What may take so long and no longer.

use serde::Deserialize;
use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From connecting to the first call; a connection that is silent for longer is closed.
    #[serde(with = "humantime_serde")]
    pub first_call: Duration,
    /// How long a client that has shut its writing side may take nothing of what it is sent; it is gone
    /// then.
    #[serde(with = "humantime_serde")]
    pub half_closed: Duration,
    /// From executing a program to its first answer on the link.
    #[serde(with = "humantime_serde")]
    pub hello: Duration,
    /// One preload that declares no limit of its own.
    #[serde(with = "humantime_serde")]
    pub preload: Duration,
    /// From asking a zygote for a worker to its answer.
    #[serde(with = "humantime_serde")]
    pub fork: Duration,
    /// How long a zygote without workers stays warm.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// Between TERM and KILL.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_call: Duration::from_secs(30),
            half_closed: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            preload: Duration::from_secs(300),
            fork: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            grace: Duration::from_secs(5),
        }
    }
}
