//! What was to be reached, and whether it was: in ratios within one run.

use super::super::protocol::Figure;
use super::super::way::Way;
use super::Report;
use serde::Serialize;
use std::fmt::Write;

/// One thing to be reached.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    /// What is compared.
    what: String,
    /// A ratio, or what the unit says.
    bound: f64,
    /// Which side of the bound is right.
    at: Side,
    measured: Option<f64>,
    verdict: Verdict,
    /// What to know besides; why it was not measured.
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Most,
    Least,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

/// The sizes for which a bound of first instructions holds.
const LARGE_MB: [u32; 2] = [1000, 4000];

impl Target {
    fn new(what: impl Into<String>, at: Side, bound: f64, measured: Option<f64>) -> Self {
        let verdict = match (measured, at) {
            (None, _) => Verdict::NotMeasured,
            (Some(value), Side::Most) if value <= bound => Verdict::Met,
            (Some(value), Side::Least) if value >= bound => Verdict::Met,
            _ => Verdict::Missed,
        };
        Self {
            what: what.into(),
            bound,
            at,
            measured,
            verdict,
            note: String::new(),
        }
    }

    fn most(what: impl Into<String>, bound: f64, measured: Option<f64>) -> Self {
        Self::new(what, Side::Most, bound, measured)
    }

    /// What it needs to be measured, where it was not.
    fn needs(mut self, what: &str) -> Self {
        if self.measured.is_none() {
            what.clone_into(&mut self.note);
        }
        self
    }

    fn note(mut self, note: Option<String>) -> Self {
        if let Some(note) = note {
            self.note = note;
        }
        self
    }

    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        let verdict = match self.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::NotMeasured => "not measured",
        };
        let side = match self.at {
            Side::Most => "at most",
            Side::Least => "at least",
        };
        let bound = shown(self.bound);
        let measured = self.measured.map_or("-".to_owned(), shown);
        write!(
            out,
            "{verdict:<14}{:<84}{measured:>9}  {side} {bound}",
            self.what
        )?;
        if self.note.is_empty() {
            writeln!(out)
        } else {
            writeln!(out, "; {}", self.note)
        }
    }
}

fn shown(value: f64) -> String {
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

impl Report {
    /// Each target, in the order of what a user meets.
    pub(super) fn judge(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        self.judge_empty(&mut targets);
        for size in LARGE_MB {
            self.judge_large(size, &mut targets);
        }
        self.judge_peers(&mut targets);
        self.judge_many(&mut targets);
        self.judge_memory(&mut targets);
        targets
    }

    fn judge_empty(&self, targets: &mut Vec<Target>) {
        let ratio = |part: fn(&super::Latency) -> f64| {
            let of = |way| self.latency(way, 0, Figure::ExitKnown).map(part);
            Some(of(Way::Mpforkd)? / of(Way::Raw)?)
        };
        let what = "exit known through mpforkd, nothing preloaded / raw, ";
        let p50 = Target::most(format!("{what}p50"), 2.0, ratio(|row| row.p50_us));
        let p99 = Target::most(format!("{what}p99"), 3.0, ratio(|row| row.p99_us));
        targets.extend([p50, p99].map(|target| target.needs("needs latency with 0 MB")));
    }

    fn judge_large(&self, size: u32, targets: &mut Vec<Target>) {
        let needs = format!("needs latency with {size} MB, as in a run without --quick");
        let first = |way, preload_mb| {
            let row = self.beside(way, preload_mb, size, Figure::FirstInstruction);
            row.map(|row| row.p50_us)
        };
        let ours = first(Way::Mpforkd, size);
        let empty = first(Way::Mpforkd, 0);
        let compacted = || {
            let overhead = (empty? - first(Way::Raw, 0)?).max(0.0);
            Some(ours? / (1.2 * first(Way::RawCompacted, size)? + 1.2 * overhead))
        };
        let raw = || Some(ours? / first(Way::Raw, size)?);
        let spares = || Some(first(Way::MpforkdSpares, size)? / empty?);
        let shared = || Some(first(Way::MpforkdShared, size)? / empty?);
        let what = format!("first instruction, {size} MB, ");
        for (rest, bound, measured) in [
            (
                "no spares / 1.2 (raw compacted + overhead when empty)",
                1.0,
                compacted(),
            ),
            ("no spares / raw", 0.05, raw()),
            ("spares / ours when empty", 1.2, spares()),
            ("in a Shared / ours when empty", 1.2, shared()),
        ] {
            targets.push(Target::most(format!("{what}{rest}"), bound, measured).needs(&needs));
        }
    }

    fn judge_peers(&self, targets: &mut Vec<Target>) {
        for size in &self.plan.sizes_mb {
            let first = |way| {
                let row = self.latency(way, *size, Figure::FirstInstruction);
                row.map(|row| row.p50_us)
            };
            let theirs = first(Way::CpythonForkserver);
            for (way, name, bound) in [
                (Way::Mpforkd, "no spares", 0.1),
                (Way::MpforkdSpares, "spares", 0.04),
            ] {
                let what = format!("first instruction, {size} MB, {name} / CPython's forkserver");
                let measured = first(way).zip(theirs).map(|(ours, theirs)| ours / theirs);
                targets
                    .push(Target::most(what, bound, measured).needs("needs latency and --peers"));
            }
        }
    }

    fn judge_many(&self, targets: &mut Vec<Target>) {
        let rate = |way: Way| {
            let mut rates = self.others.rates.iter();
            let found = rates.find(|rate| rate.contender == way.name() && rate.outstanding == 16);
            found.map(|rate| rate.per_s)
        };
        let ratio = rate(Way::Mpforkd)
            .zip(rate(Way::Raw))
            .map(|(ours, raw)| ours / raw);
        let what = "rate with 16 outstanding / raw";
        targets.push(Target::new(what, Side::Least, 0.7, ratio).needs("needs the part rate"));

        let bursts = self.others.bursts.as_ref();
        let burst = bursts.and_then(|bursts| {
            let mut all = bursts.bursts.iter();
            let ours = all.find(|burst| burst.contender == Way::Mpforkd.name())?;
            Some((ours.ended_ms / bursts.sequential_raw_ms, ours.processes))
        });
        let what = "burst until all have ended / as many raw forks one after another";
        let target = Target::most(what, 1.5, burst.map(|(ratio, _)| ratio));
        let note = burst.map(|(_, all)| format!("of {all} processes none refused, none lost"));
        targets.push(target.note(note).needs("needs the part burst"));

        let crowd = self.others.crowd.as_ref();
        let needs = "needs the part crowd, which --quick leaves out, and the room for it";
        for figure in [Figure::FirstInstruction, Figure::ExitKnown] {
            let ratio = crowd.and_then(|crowd| {
                let p50 = |way: Way| {
                    let is_it = |start: &&super::super::measure::start::Start| {
                        (start.contender, start.figure) == (way.name(), figure.name())
                    };
                    crowd.starts.iter().find(is_it).map(|start| start.p50_us)
                };
                Some(p50(Way::Mpforkd)? / p50(Way::Raw)?)
            });
            let alive = crowd.map_or(self.plan.crowd, |crowd| crowd.alive);
            let what = format!(
                "{} with {alive} workers alive / raw with as many",
                figure.name()
            );
            targets.push(Target::most(what.replace('_', " "), 1.3, ratio).needs(needs));
        }
        for (what, bound, measured) in [
            (
                "bytes in mpforkd for each running worker",
                4096.0,
                crowd.map(|crowd| crowd.daemon_bytes_per_worker),
            ),
            (
                "descriptors in mpforkd for each running worker",
                2.0,
                crowd.map(|crowd| crowd.daemon_descriptors_per_worker),
            ),
        ] {
            targets.push(Target::most(what, bound, measured).needs(needs));
        }
        let drift = self.others.drift.as_ref();
        let what = format!(
            "first instruction after {} starts with workers alive / at first",
            self.plan.drift
        );
        let target = Target::most(what, 1.2, drift.map(|drift| drift.last_us / drift.first_us));
        let needs = "needs the parts latency and drift, which --quick leaves out";
        let note = drift.map(|drift| format!("with {} MB", drift.preload_mb));
        targets.push(target.note(note.clone()).needs(needs));
        // Without what comes on top of it, which would hide a part.
        let fork = drift.and_then(|drift| Some(drift.last_fork_us? / drift.first_fork_us?));
        let what = format!(
            "fork, as mpforkd says, after {} starts with workers alive / at first",
            self.plan.drift
        );
        targets.push(Target::most(what, 1.2, fork).note(note).needs(needs));
    }

    fn judge_memory(&self, targets: &mut Vec<Target>) {
        let writers = |way: Way| {
            self.others
                .writers
                .iter()
                .find(|one| one.contender == way.name())
        };
        let both = writers(Way::Mpforkd).zip(writers(Way::Raw));
        let ratio = both.map(|(ours, raw)| ours.proportional_mb / raw.proportional_mb);
        let what = "PSS of zygote and workers that write to 1 page of 100 / uncompacted";
        let note = both.map(|(ours, raw)| {
            format!(
                "writing took {:.2} times as long",
                ours.writing_ms / raw.writing_ms
            )
        });
        targets.push(
            Target::most(what, 1.05, ratio)
                .note(note)
                .needs("needs the part writers"),
        );

        let private = |way: Way| {
            let mut idle = self.others.idle.iter();
            let found = idle.find(|idle| idle.contender == way.name());
            found.map(|idle| idle.private_kib)
        };
        let ours = private(Way::Mpforkd);
        let ratio = ours
            .zip(private(Way::CpythonForkserver))
            .map(|(ours, theirs)| ours / theirs);
        let what = "private memory of an idle worker / CPython's forkserver's";
        targets.push(Target::most(what, 0.125, ratio).needs("needs the part memory and --peers"));
        let what = "private KiB of an idle worker";
        targets.push(Target::most(what, 300.0, ours).needs("needs the part memory"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let verdict = |at, bound, measured| Target::new("x", at, bound, measured).verdict;
        assert_eq!(verdict(Side::Most, 2.0, Some(2.0)), Verdict::Met);
        assert_eq!(verdict(Side::Most, 2.0, Some(2.1)), Verdict::Missed);
        assert_eq!(verdict(Side::Least, 0.7, Some(0.7)), Verdict::Met);
        assert_eq!(verdict(Side::Least, 0.7, Some(0.6)), Verdict::Missed);
        assert_eq!(verdict(Side::Least, 0.7, None), Verdict::NotMeasured);
        // What can't be compared is not as wanted.
        assert_eq!(verdict(Side::Most, 2.0, Some(f64::NAN)), Verdict::Missed);
    }
}
