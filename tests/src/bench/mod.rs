//! What a worker costs, beside what the system's own ways of making a process cost.
//!
//! Every contender makes a process that does nothing and waits until its exit is known. They take
//! turns in small batches, so that whatever else the machine does meanwhile hits all of them alike.

mod contender;
mod helper;
mod host;
mod report;
mod stats;
mod worker;

use crate::running;
use clap::Parser;
use contender::{Batch, Contender, Figure};
use helper::{Helper, Way};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares workers, by each way of starting them, with fork and with posix_spawn.
#[derive(Debug, Parser)]
#[command(name = "mpfork-bench")]
struct Cli {
    /// A tenth of the samples.
    #[arg(long)]
    quick: bool,

    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Use this mpforkd instead of building it.
    #[arg(long, value_name = "PATH")]
    mpforkd: Option<PathBuf>,

    /// How often each contender gets its turn.
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// How many processes it makes in a turn.
    #[arg(long, value_name = "N", hide = true, default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,

    /// Be the single-threaded process that makes a contender's processes.
    #[arg(long, hide = true)]
    helper: bool,
}

/// How much is preloaded. A fork of that much takes milliseconds: a turn is a tenth as long.
const PRELOADS_MB: [u32; 2] = [0, 100];

/// Everything `main` does. `preload` loads what the program declares for its zygotes.
#[must_use]
pub fn main_impl(preload: fn()) -> ExitCode {
    let cli = Cli::parse();
    let done = if cli.helper {
        helper::serve(preload)
    } else {
        run(&cli)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mpfork-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("mpfork-bench: built without optimization: the figures mean little");
    }
    let program = match &cli.mpforkd {
        Some(program) => program.clone(),
        None => running::build()?,
    };
    let watch = host::Watch::start();
    let daemon = running::Daemon::start(&program, "[limits]\nspares = 0\n")?;
    let with_spares = running::Daemon::start(&program, "")?;
    let ways = |preload_mb| {
        let mut ways = vec![
            Way::Fork,
            Way::Mpforkd(daemon.socket().to_owned()),
            Way::MpforkdSpares(with_spares.socket().to_owned()),
            Way::Embedded,
            Way::MpforkFork,
        ];
        if preload_mb == 0 {
            // They execute a program, which then has loaded nothing.
            ways.insert(1, Way::PosixSpawn);
            ways.push(Way::MpforkSpawn);
        }
        ways
    };
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    for preload_mb in PRELOADS_MB {
        for way in ways(preload_mb) {
            contenders.push(Box::new(Helper::start(way, preload_mb)?));
        }
    }
    let rounds = cli.rounds.unwrap_or(if cli.quick { 10 } else { 100 });
    let measured = measure(&mut contenders, rounds, cli.batch)?;
    drop(contenders);
    daemon.shut_down()?;
    with_spares.shut_down()?;

    let host = host::Host::describe(watch.foreign_load());
    let report = report::Report::new(host, &measured)?;
    print!("{}", report.table());
    if let Some(path) = &cli.json {
        report.write_json(path)?;
    }
    Ok(())
}

/// All samples of one contender with so many outstanding.
struct Measured {
    contender: &'static str,
    what: &'static str,
    figure: Figure,
    preload_mb: u32,
    outstanding: u32,
    figures: stats::Figures,
}

fn measure(
    contenders: &mut [Box<dyn Contender>],
    rounds: u32,
    batch: u32,
) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for contender in contenders.iter() {
        for &(figure, outstanding) in contender.figures() {
            all.push(Measured {
                figure,
                contender: contender.name(),
                what: contender.what(),
                preload_mb: contender.preload_mb(),
                outstanding,
                figures: stats::Figures::new()?,
            });
        }
    }
    for round in 0..=rounds {
        let mut rest = all.as_mut_slice();
        for contender in contenders.iter_mut() {
            let (own, others) = rest.split_at_mut(contender.figures().len());
            rest = others;
            for measured in own {
                let tenth = batch.div_ceil(10);
                let count = if measured.preload_mb > 0 {
                    tenth
                } else {
                    batch
                };
                let done = contender.run(Batch {
                    figure: measured.figure,
                    count,
                    outstanding: measured.outstanding,
                })?;
                // The first round launches the zygote and fills the caches.
                if round > 0 {
                    measured.figures.add(&done)?;
                }
            }
        }
    }
    Ok(all)
}
