//! What an idle worker has for itself, nothing preloaded.

use super::super::contender::Contender;
use super::super::plan::Plan;
use super::super::protocol::Pages;
use super::super::stats::{as_f64, median, rounded};
use mpfork_sys::processes;
use serde::Serialize;

/// The medians of some that were alive together, in KiB.
#[derive(Debug, Serialize)]
pub(in super::super) struct Idle {
    pub(in super::super) contender: &'static str,
    pub(in super::super) private_kib: f64,
    pub(in super::super) proportional_kib: f64,
    pub(in super::super) resident_kib: f64,
    pub(in super::super) workers: u32,
}

pub(in super::super) fn measure(
    plan: &Plan,
    contenders: &mut [Contender],
) -> anyhow::Result<Vec<Idle>> {
    let mut all = Vec::new();
    for contender in contenders.iter_mut() {
        if !contender.way.can_stay() {
            continue;
        }
        let held = contender.hold(plan.idle, Pages::Left)?;
        let read = held.pids.iter().map(|pid| processes::memory(*pid));
        let read: Vec<_> = read.collect::<Result<_, _>>()?;
        contender.release()?;
        contender.refill()?;
        let kib = |part: fn(&processes::Memory) -> u64| {
            let values: Vec<_> = read.iter().map(|one| as_f64(part(one)) / 1024.0).collect();
            rounded(median(&values))
        };
        all.push(Idle {
            contender: contender.way.name(),
            private_kib: kib(|one| one.private),
            proportional_kib: kib(|one| one.proportional),
            resident_kib: kib(|one| one.resident),
            workers: plan.idle,
        });
    }
    Ok(all)
}
