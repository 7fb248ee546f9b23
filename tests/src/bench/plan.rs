//! What is measured, and for how long.

use super::measure::alone::PAUSE;
use super::way::{ALL, REFERENCES, SPARES, Way};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Compares workers, by each way of starting them, with fork, posix_spawn and others' process pools.
#[derive(Debug, Parser)]
#[command(name = "mpfork-bench", max_term_width = 100)]
pub(super) struct Cli {
    /// Within a minute, without --peers: 0 and 100 MB, and nothing that takes thousands of workers.
    #[arg(long)]
    quick: bool,

    /// Outside contenders too: the crate procspawn, and CPython's multiprocessing by the python3 in PATH.
    #[arg(long)]
    peers: bool,

    /// These parts only; what is compared with what is then said to be unmeasured.
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    only: Vec<Part>,

    /// These contenders only, and what all are compared with.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    contenders: Vec<Way>,

    /// With so many megabytes of small allocations preloaded.
    #[arg(long, value_name = "MB,...", value_delimiter = ',')]
    sizes: Vec<u32>,

    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Draw the time to the first instruction by what is preloaded, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,

    /// Use this mpforkd instead of building it.
    #[arg(long, value_name = "PATH")]
    pub(super) mpforkd: Option<PathBuf>,

    /// As little as there can be of everything.
    #[arg(long, hide = true)]
    tiny: bool,

    /// Be the process that makes a contender's processes.
    #[arg(long, hide = true, value_name = "NAME")]
    pub(super) helper: Option<Way>,

    /// The mpforkd it uses.
    #[arg(long, hide = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// One process at a time, by what is preloaded.
    Latency,
    /// One process at a time with a pause before each.
    Alone,
    /// As many as can be, with 1, 2 and 16 outstanding.
    Rate,
    /// A thousand at once, that end and that stay.
    Burst,
    /// What an idle worker has for itself.
    Memory,
    /// Starts with ten thousand workers alive.
    Crowd,
    /// The fork's cost after ten thousand starts with workers alive.
    Drift,
    /// Ten workers that each write to one page of a hundred.
    Writers,
}

/// How much of everything.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) sizes_mb: Vec<u32>,
    #[serde(skip)]
    pub(super) ways: Vec<Way>,
    pub(super) parts: Vec<Part>,
    pub(super) peers: bool,
    /// Turns of each contender, fewer where the time for a size is over before.
    pub(super) rounds: u32,
    /// Processes in a turn, fewer where the time for a turn is over before.
    pub(super) turn: u32,
    pub(super) turn_limit: Duration,
    pub(super) size_limit: Duration,
    pub(super) alone_rounds: u32,
    /// Processes of a contender before it is another's turn.
    pub(super) alone_turn: u32,
    pub(super) rate_rounds: u32,
    pub(super) rate_time: Duration,
    pub(super) burst: u32,
    pub(super) burst_rounds: u32,
    pub(super) idle: u32,
    pub(super) crowd: u32,
    pub(super) crowd_rounds: u32,
    pub(super) crowd_turn: u32,
    pub(super) drift: u32,
    /// With the most preloaded with which that many starts take no longer.
    pub(super) drift_limit: Duration,
    pub(super) writers_mb: u32,
    pub(super) writers: u32,
}

/// Rates are measured with so many outstanding.
pub(super) const OUTSTANDING: [u32; 3] = [1, 2, 16];

impl Plan {
    pub(super) fn new(cli: &Cli) -> Self {
        let mut plan = match (cli.tiny, cli.quick) {
            (true, _) => Self::tiny(),
            (false, true) => Self::quick(),
            (false, false) => Self::whole(),
        };
        if !cli.sizes.is_empty() {
            plan.sizes_mb = cli.sizes.clone();
            plan.sizes_mb.sort_unstable();
            plan.sizes_mb.dedup();
        }
        if !cli.only.is_empty() {
            plan.parts.clone_from(&cli.only);
        }
        let is_wanted = |way: &Way| {
            let named = cli.contenders.is_empty() || cli.contenders.contains(way);
            let peer = way.is_peer() && !cli.peers && !cli.contenders.contains(way);
            REFERENCES.contains(way) || (named && !peer)
        };
        plan.ways = ALL.into_iter().filter(is_wanted).collect();
        plan.peers = plan.ways.iter().any(|way| way.is_peer());
        plan
    }

    fn whole() -> Self {
        Self {
            sizes_mb: vec![0, 10, 100, 1000, 4000],
            ways: Vec::new(),
            parts: Part::value_variants().to_vec(),
            peers: false,
            rounds: 100,
            // As many as spares wait: the first of a turn take longer, whoever makes them.
            turn: SPARES,
            turn_limit: Duration::from_millis(50),
            size_limit: Duration::from_secs(240),
            alone_rounds: 10,
            alone_turn: 20,
            rate_rounds: 5,
            rate_time: Duration::from_secs(5),
            burst: 1000,
            burst_rounds: 5,
            idle: 10,
            crowd: 10_000,
            crowd_rounds: 3,
            crowd_turn: 200,
            drift: 10_000,
            drift_limit: Duration::from_secs(120),
            writers_mb: 1000,
            writers: 10,
        }
    }

    fn quick() -> Self {
        let whole = Self::whole();
        let is_short = |part: &Part| !matches!(part, Part::Crowd | Part::Drift);
        Self {
            sizes_mb: vec![0, 100],
            parts: whole.parts.iter().copied().filter(is_short).collect(),
            rounds: 10,
            size_limit: Duration::from_secs(12),
            alone_rounds: 2,
            rate_rounds: 3,
            rate_time: Duration::from_millis(120),
            burst_rounds: 1,
            writers_mb: 100,
            ..whole
        }
    }

    fn tiny() -> Self {
        Self {
            sizes_mb: vec![0, 20],
            parts: Part::value_variants().to_vec(),
            rounds: 2,
            turn: 4,
            alone_rounds: 2,
            alone_turn: 2,
            rate_rounds: 1,
            rate_time: Duration::from_millis(30),
            burst: 12,
            burst_rounds: 1,
            idle: 2,
            crowd: 20,
            crowd_rounds: 1,
            crowd_turn: 4,
            drift: 20,
            writers_mb: 20,
            writers: 2,
            ..Self::whole()
        }
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// The contenders where so much is preloaded.
    pub(super) fn ways_with(&self, preload_mb: u32) -> impl Iterator<Item = Way> {
        let ways = self.ways.iter().copied();
        ways.filter(move |way| way.is_measured_with(preload_mb))
    }

    /// What it takes at most, about.
    pub(super) fn estimate(&self) -> Duration {
        let count = |preload_mb| u32::try_from(self.ways_with(preload_mb).count()).unwrap_or(0);
        let mut all = Duration::from_secs(5);
        if self.has(Part::Latency) {
            for size in &self.sizes_mb {
                // Two figures of each; loading and compacting takes some 6 s per gigabyte.
                let turns = 2 * count(*size) * self.rounds * self.turn_limit;
                let loading = count(*size) * Duration::from_millis(u64::from(*size) * 6);
                all += turns.min(self.size_limit) + loading;
            }
        }
        if self.has(Part::Alone) {
            all += 2 * count(0) * self.alone_rounds * self.alone_turn * 2 * PAUSE;
        }
        if self.has(Part::Rate) {
            let outstanding = u32::try_from(OUTSTANDING.len()).unwrap_or(0);
            all += count(0) * outstanding * self.rate_rounds * self.rate_time;
        }
        if self.has(Part::Burst) {
            all += count(0) * self.burst_rounds * Duration::from_millis(1500);
        }
        if self.has(Part::Crowd) {
            all += 2 * self.crowd_rounds * self.crowd * Duration::from_millis(1);
        }
        if self.has(Part::Drift) {
            all += self.drift_limit;
        }
        if self.has(Part::Writers) {
            all += Duration::from_millis(u64::from(self.writers_mb) * 30);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &[&str]) -> Plan {
        let args = std::iter::once("mpfork-bench").chain(args.iter().copied());
        Plan::new(&Cli::parse_from(args))
    }

    #[test]
    fn a_quick_run_is_over_within_a_minute() {
        let quick = plan(&["--quick"]);
        assert_eq!(quick.sizes_mb, [0, 100]);
        assert!(quick.estimate() <= Duration::from_secs(60), "{quick:?}");
        assert!(!quick.peers);
    }

    #[test]
    fn a_whole_run_has_everything() {
        let whole = plan(&["--peers"]);
        assert_eq!(whole.sizes_mb, [0, 10, 100, 1000, 4000]);
        assert_eq!(whole.parts, Part::value_variants());
        assert_eq!(whole.ways, ALL);
        assert_eq!((whole.rate_rounds, whole.rate_time.as_secs()), (5, 5));
        assert_eq!(whole.burst, 1000);
    }
}
