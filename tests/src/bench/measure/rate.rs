//! As many processes as can be, nothing preloaded.

use super::super::contender::Contender;
use super::super::plan::{OUTSTANDING, Plan};
use super::super::protocol::Request;
use super::super::stats::{median, rate};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(in super::super) struct Rate {
    pub(in super::super) contender: &'static str,
    pub(in super::super) outstanding: u32,
    /// Processes per second: the median of the rounds.
    pub(in super::super) per_s: f64,
    pub(in super::super) rounds: Vec<f64>,
}

pub(in super::super) fn measure(
    plan: &Plan,
    contenders: &mut [Contender],
) -> anyhow::Result<Vec<Rate>> {
    let mut rates = Vec::new();
    for contender in contenders.iter() {
        for outstanding in OUTSTANDING {
            rates.push(Rate {
                contender: contender.way.name(),
                outstanding,
                per_s: 0.0,
                rounds: Vec::new(),
            });
        }
    }
    let millis = u64::try_from(plan.rate_time.as_millis())?;
    for _ in 0..plan.rate_rounds {
        let mut measured = rates.iter_mut();
        for contender in contenders.iter_mut() {
            for (outstanding, measured) in OUTSTANDING.into_iter().zip(measured.by_ref()) {
                let answer = contender.ask(&Request::Rate {
                    outstanding,
                    millis,
                })?;
                contender.refill()?;
                measured.rounds.push(rate(answer.count, answer.elapsed_ns));
            }
        }
    }
    for measured in &mut rates {
        measured.per_s = median(&measured.rounds);
    }
    Ok(rates)
}
