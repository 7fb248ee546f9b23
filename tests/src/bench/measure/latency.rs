//! One process at a time, by what is preloaded. Contenders take turns, so that whatever else the machine
//! does meanwhile hits all of them alike.

use super::super::contender::Contender;
use super::super::machine;
use super::super::plan::Plan;
use super::super::protocol::Figure;
use super::super::stats::Figures;
use super::super::way::{REFERENCES, Way};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// All samples of one figure of a contender.
#[derive(Debug)]
pub(in super::super) struct Measured {
    pub(in super::super) way: Way,
    pub(in super::super) preload_mb: u32,
    /// What the others had preloaded that took turns with it: itself, but for the references with nothing
    /// preloaded, which are measured beside every size.
    pub(in super::super) beside_mb: u32,
    pub(in super::super) figure: Figure,
    pub(in super::super) figures: Figures,
}

/// How many starts were by a spare where they could be.
#[derive(Debug, Serialize)]
pub(in super::super) struct SpareShare {
    pub(in super::super) contender: &'static str,
    pub(in super::super) preload_mb: u32,
    pub(in super::super) starts: u64,
    pub(in super::super) by_spare: u64,
}

impl SpareShare {
    /// Of those since there were so many; `None` of a contender that has no spares.
    pub(super) fn since(contender: &Contender, before: Option<(u64, u64)>) -> Option<Self> {
        let (before, after) = (before?, starts(contender)?);
        Some(Self {
            contender: contender.way.name(),
            preload_mb: contender.preload_mb,
            starts: after.0 - before.0,
            by_spare: after.1 - before.1,
        })
    }
}

#[derive(Debug, Default)]
pub(in super::super) struct Latencies {
    pub(in super::super) measured: Vec<Measured>,
    pub(in super::super) spares: Vec<SpareShare>,
}

impl Latencies {
    /// Measures with so much preloaded. `empty` have nothing preloaded: all of them take part where that
    /// is the size, else the references. What does not fit into memory at once is measured in turn, each
    /// time beside the references.
    pub(in super::super) fn measure(
        &mut self,
        plan: &Plan,
        preload_mb: u32,
        empty: &mut [Contender],
        mpforkd: &Path,
        skipped: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        if preload_mb == 0 {
            return self.take_turns(plan, preload_mb, empty, &mut [], 1);
        }
        let needed = machine::needed_memory(preload_mb);
        let room = usize::try_from(machine::usable_memory() / needed)?;
        if room < REFERENCES.len() {
            let available = machine::available_memory() / 1_000_000;
            skipped.push(format!(
                "{preload_mb} MB preloaded: two processes need {} MB of memory, and {available} are available",
                2 * needed / 1_000_000
            ));
            return Ok(());
        }
        let ways = plan.ways_with(preload_mb);
        let others: Vec<Way> = ways.filter(|way| !REFERENCES.contains(way)).collect();
        let beside = room - REFERENCES.len();
        if beside == 0 {
            skipped.push(format!(
                "{preload_mb} MB preloaded: no memory for others than raw and mpforkd"
            ));
        }
        let mut shifts: Vec<&[Way]> = match beside {
            0 => Vec::new(),
            _ => others.chunks(beside).collect(),
        };
        if shifts.is_empty() {
            shifts.push(&[]);
        }
        let count = u32::try_from(shifts.len())?;
        let mut references = start(&REFERENCES, preload_mb, mpforkd)?;
        for shift in shifts {
            let mut all = std::mem::take(&mut references);
            for mut contender in start(shift, preload_mb, mpforkd)? {
                // The others go on without one that can't have as much.
                match contender.warm_up() {
                    Ok(()) => all.push(contender),
                    Err(error) => {
                        super::super::ends::check()?;
                        skipped.push(format!("{error:#}"));
                    }
                }
            }
            self.take_turns(plan, preload_mb, &mut all, empty, count)?;
            for (number, contender) in all.into_iter().enumerate() {
                if number < REFERENCES.len() {
                    references.push(contender);
                } else {
                    contender.end()?;
                }
            }
        }
        references.into_iter().try_for_each(Contender::end)
    }

    fn take_turns(
        &mut self,
        plan: &Plan,
        preload_mb: u32,
        contenders: &mut [Contender],
        empty: &mut [Contender],
        shifts: u32,
    ) -> anyhow::Result<()> {
        for contender in contenders.iter_mut() {
            contender.warm_up()?;
            contender.refill()?;
        }
        let before: Vec<_> = contenders.iter().map(starts).collect();
        let began = Instant::now();
        let limit = plan.size_limit / shifts;
        for round in 0..plan.rounds {
            // The slowest have a few samples even then.
            if round >= 5 && began.elapsed() > limit {
                break;
            }
            let references = empty.iter_mut().filter(|one| REFERENCES.contains(&one.way));
            for contender in references.chain(contenders.iter_mut()) {
                for &figure in contender.way.figures() {
                    let answer = contender.latency(figure, plan.turn, plan.turn_limit)?;
                    self.add(contender, preload_mb, figure, &answer.samples_ns)?;
                }
            }
        }
        let shares = contenders.iter().zip(before);
        self.spares
            .extend(shares.filter_map(|(contender, before)| SpareShare::since(contender, before)));
        Ok(())
    }

    fn add(
        &mut self,
        contender: &Contender,
        beside_mb: u32,
        figure: Figure,
        samples_ns: &[u64],
    ) -> anyhow::Result<()> {
        let (way, preload_mb) = (contender.way, contender.preload_mb);
        let is_it = |one: &Measured| {
            (one.way, one.preload_mb, one.beside_mb, one.figure)
                == (way, preload_mb, beside_mb, figure)
        };
        let at = match self.measured.iter().position(is_it) {
            Some(at) => at,
            None => {
                self.measured.push(Measured {
                    way,
                    preload_mb,
                    beside_mb,
                    figure,
                    figures: Figures::new()?,
                });
                self.measured.len() - 1
            }
        };
        self.measured[at].figures.add(samples_ns)
    }
}

/// All starts so far and those by a spare, where there may be some.
pub(super) fn starts(contender: &Contender) -> Option<(u64, u64)> {
    match contender.way {
        Way::MpforkdDefault | Way::MpforkdSpares => contender.starts().ok(),
        _ => None,
    }
}

fn start(ways: &[Way], preload_mb: u32, mpforkd: &Path) -> anyhow::Result<Vec<Contender>> {
    let contenders = ways
        .iter()
        .map(|way| Contender::start(*way, preload_mb, mpforkd));
    contenders.collect()
}
