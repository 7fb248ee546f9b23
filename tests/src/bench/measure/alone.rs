//! One process at a time with a pause before each, nothing preloaded: as a service starts them that has little
//! to do. Processors sleep meanwhile.

use super::super::contender::Contender;
use super::super::plan::Plan;
use super::super::protocol::Request;
use super::super::stats::Figures;
use super::latency::{self, SpareShare};
use super::start::Start;
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub(in super::super) struct Alone {
    pub(in super::super) pause_ms: u64,
    pub(in super::super) starts: Vec<Start>,
    pub(in super::super) spares: Vec<SpareShare>,
}

/// Before each start. Longer than what mpforkd takes for a lull.
pub(in super::super) const PAUSE: Duration = Duration::from_millis(5);

pub(in super::super) fn measure(
    plan: &Plan,
    contenders: &mut [Contender],
) -> anyhow::Result<Alone> {
    let mut measured = Vec::new();
    for contender in contenders.iter() {
        for &figure in contender.way.figures() {
            measured.push((contender.way, figure, Figures::new()?));
        }
    }
    contenders.iter_mut().try_for_each(Contender::refill)?;
    let before: Vec<_> = contenders.iter().map(latency::starts).collect();
    let millis = u64::try_from(plan.turn_limit.as_millis())?;
    for _ in 0..plan.alone_rounds {
        let mut measured = measured.iter_mut();
        for contender in contenders.iter_mut() {
            let count = contender.way.figures().len();
            for (_, figure, figures) in measured.by_ref().take(count) {
                for _ in 0..plan.alone_turn {
                    std::thread::sleep(PAUSE);
                    let answer = contender.ask(&Request::Latency {
                        figure: *figure,
                        count: 1,
                        millis,
                    })?;
                    figures.add(&answer.samples_ns)?;
                }
            }
        }
    }
    let starts = measured.iter();
    let shares = contenders.iter().zip(before);
    Ok(Alone {
        pause_ms: u64::try_from(PAUSE.as_millis())?,
        starts: starts
            .map(|(way, figure, figures)| Start::new(*way, *figure, figures))
            .collect(),
        spares: shares
            .filter_map(|(contender, before)| SpareShare::since(contender, before))
            .collect(),
    })
}
