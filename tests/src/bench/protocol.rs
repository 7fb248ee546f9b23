//! What a helper is asked for and answers: a line of JSON each, over its standard input and output, so
//! that one in another language can be asked too.

use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What is measured of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// From before it was asked for until its exit was known.
    ExitKnown,
    /// From before it was asked for until its first own instruction.
    FirstInstruction,
}

impl Figure {
    /// As in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ExitKnown => "exit_known",
            Self::FirstInstruction => "first_instruction",
        }
    }
}

/// What a helper is asked for. Processes do nothing and end with 0, unless it says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// One process after another: at most `count`, and none is begun after `millis`.
    Latency {
        figure: Figure,
        count: u32,
        millis: u64,
    },
    /// As many as possible in that time, `outstanding` of them at a time.
    Rate { outstanding: u32, millis: u64 },
    /// All asked for at once, until all exits are known.
    Burst { count: u32 },
    /// So many more that stay, until all have told that they run.
    Hold { count: u32, pages: Pages },
    /// Those that stay end, until all exits are known.
    Release {},
}

/// What a process that stays does first with the preloaded pages.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pages {
    /// Nothing.
    Left,
    /// Writes to one of so many, at random.
    OneWrittenOf(u32),
}

/// What it came to.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    /// Of each process: the figure asked for; of one that stays what writing took.
    pub(super) samples_ns: Vec<u64>,
    /// How many processes there were.
    pub(super) count: u64,
    /// What all of it took.
    pub(super) elapsed_ns: u64,
    /// Of those that stay.
    pub(super) pids: Vec<i32>,
    /// Why there is nothing else in here.
    pub(super) failed: Option<String>,
}

/// A time that all processes of the machine agree on, in nanoseconds.
pub(super) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

pub(super) fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
