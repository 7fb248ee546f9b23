//! Many processes asked for at once, nothing preloaded.

use super::super::contender::Contender;
use super::super::plan::Plan;
use super::super::protocol::{Figure, Pages, Request};
use super::super::stats::{as_f64, median, rounded};
use super::super::way::Way;
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub(in super::super) struct Burst {
    pub(in super::super) contender: &'static str,
    /// Until all exits are known, in milliseconds: the median of the rounds.
    pub(in super::super) ended_ms: f64,
    /// Until all run that stay; absent for those that can't.
    pub(in super::super) alive_ms: Option<f64>,
    /// That were not refused and not lost. A contender of which one was is an error of the bench.
    pub(in super::super) processes: u64,
}

/// What the bursts are compared with.
#[derive(Debug, Default, Serialize)]
pub(in super::super) struct Bursts {
    /// So many at once.
    pub(in super::super) count: u32,
    pub(in super::super) bursts: Vec<Burst>,
    /// As many raw forks one after another, each waited for: milliseconds.
    pub(in super::super) sequential_raw_ms: f64,
}

pub(in super::super) fn measure(
    plan: &Plan,
    contenders: &mut [Contender],
    skipped: &mut Vec<String>,
) -> anyhow::Result<Bursts> {
    let mut slow = Vec::new();
    for contender in contenders.iter_mut() {
        let answer = contender.latency(Figure::ExitKnown, 3, plan.turn_limit)?;
        let all = answer.elapsed_ns / answer.count.max(1) * u64::from(plan.burst);
        // Two CPUs or a hundred: what takes that long one by one would take memory, too.
        if Duration::from_nanos(all) > Duration::from_secs(15) {
            let name = contender.way.name();
            skipped.push(format!(
                "burst of {name}: one by one they take {} s",
                all / 1_000_000_000
            ));
            slow.push(contender.way);
        }
    }
    let mut fast: Vec<_> = contenders.iter_mut().collect();
    fast.retain(|contender| !slow.contains(&contender.way));
    let mut ended = vec![Vec::new(); fast.len()];
    let mut alive = vec![Vec::new(); fast.len()];
    let mut processes = vec![0; fast.len()];
    let mut sequential = Vec::new();
    for _ in 0..plan.burst_rounds {
        for (at, contender) in fast.iter_mut().enumerate() {
            if contender.way == Way::Raw {
                let answer = contender.ask(&Request::Latency {
                    figure: Figure::ExitKnown,
                    count: plan.burst,
                    millis: 60_000,
                })?;
                sequential.push(as_f64(answer.elapsed_ns) / 1e6);
            }
            let answer = contender.ask(&Request::Burst { count: plan.burst })?;
            processes[at] += answer.count;
            ended[at].push(as_f64(answer.elapsed_ns) / 1e6);
            contender.refill()?;
            if contender.way.can_stay() {
                let answer = contender.hold(plan.burst, Pages::Left)?;
                processes[at] += answer.count;
                alive[at].push(as_f64(answer.elapsed_ns) / 1e6);
                contender.release()?;
                contender.refill()?;
            }
        }
    }
    let bursts = fast.iter().enumerate().map(|(at, contender)| Burst {
        contender: contender.way.name(),
        ended_ms: rounded(median(&ended[at])),
        alive_ms: (!alive[at].is_empty()).then(|| rounded(median(&alive[at]))),
        processes: processes[at],
    });
    Ok(Bursts {
        count: plan.burst,
        bursts: bursts.collect(),
        sequential_raw_ms: rounded(median(&sequential)),
    })
}
