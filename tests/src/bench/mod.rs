//! What a worker costs, beside what the system's own ways of making a process cost, and others'.
//!
//! Each contender has a helper, a process of its own that makes processes which do nothing. They take turns
//! in small batches, so that whatever else the machine does meanwhile hits all of them alike.

mod contender;
mod ends;
mod helper;
mod host;
mod machine;
mod measure;
mod plan;
mod protocol;
mod report;
mod stats;
mod way;

use crate::running;
use clap::Parser as _;
use contender::Contender;
use measure::latency::Latencies;
use measure::{alone, burst, crowd, drift, memory, rate, writers};
use plan::{Cli, Part, Plan};
use report::{Others, Report};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use way::Way;

pub use helper::Hold;

/// What the program has itself, as declarations in a library would be every program's that links it.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Loads what it declares for its zygotes.
    pub preload: fn(),
    /// What a process runs that stays. The program registers it, too.
    pub hold: fn(Hold) -> Result<(), String>,
}

/// Everything `main` does.
#[must_use]
pub fn main_impl(program: Program) -> ExitCode {
    // A process that procspawn executed does not return from this.
    procspawn::init();
    let cli = Cli::parse();
    let done = match cli.helper {
        Some(way) => helper::serve(way, cli.socket.as_deref(), program),
        None => run(&cli),
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
    let mpforkd = match &cli.mpforkd {
        Some(program) => program.clone(),
        None => running::build()?,
    };
    // Rather now than when all is measured.
    for path in [&cli.json, &cli.svg].into_iter().flatten() {
        report::expect_writable(path)?;
    }
    ends::watch()?;
    let watch = host::Watch::start();
    let mut plan = Plan::new(cli);
    let measured = measure(&mut plan, &mpforkd);
    // Whatever went wrong: all that measured has ended, and what it left is waited for.
    let reaped = ends::reap();
    let (latencies, others) = match (measured, reaped) {
        (Ok(measured), reaped) => reaped.map(|()| measured)?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(left)) => return Err(error.context(left)),
    };

    let host = host::Host::describe(watch.foreign_load());
    let report = Report::new(host, plan, latencies, others);
    print!("{}", report.text());
    let json = cli.json.as_ref().map(|path| report.write_json(path));
    let svg = cli.svg.as_ref().map(|path| report.write_svg(path));
    json.into_iter().chain(svg).collect()
}

fn measure(plan: &mut Plan, mpforkd: &Path) -> anyhow::Result<(Latencies, Others)> {
    let mut others = Others::default();
    without_python(plan, &mut others.skipped);
    if let Err(error) = mpfork_sys::memory::probe_collapse() {
        let name = Way::RawCompacted.name();
        others
            .skipped
            .push(format!("{name}: no huge pages by MADV_COLLAPSE: {error}"));
        plan.ways.retain(|way| *way != Way::RawCompacted);
    }
    let minutes = plan.estimate().as_secs_f64() / 60.0;
    eprintln!("mpfork-bench: this takes up to {minutes:.0} minutes");
    let began = Instant::now();
    let tell = |what: &str| {
        let seconds = began.elapsed().as_secs();
        eprintln!("mpfork-bench: {seconds:>4} s  {what}");
    };

    let mut latencies = Latencies::default();
    let mut empty = Vec::new();
    for way in plan.ways_with(0) {
        let mut contender = Contender::start(way, 0, mpforkd)?;
        contender.warm_up()?;
        contender.refill()?;
        empty.push(contender);
    }
    let skipped = &mut others.skipped;
    if plan.has(Part::Latency) {
        for size in &plan.sizes_mb {
            tell(&format!("latency with {size} MB preloaded"));
            latencies.measure(plan, *size, &mut empty, mpforkd, skipped)?;
        }
    }
    if plan.has(Part::Alone) {
        tell("starts that come alone");
        others.alone = Some(alone::measure(plan, &mut empty)?);
    }
    if plan.has(Part::Rate) {
        tell("rates");
        others.rates = rate::measure(plan, &mut empty)?;
    }
    if plan.has(Part::Burst) {
        tell("bursts");
        others.bursts = Some(burst::measure(plan, &mut empty, skipped)?);
    }
    if plan.has(Part::Memory) {
        tell("memory of idle workers");
        others.idle = memory::measure(plan, &mut empty)?;
    }
    empty.into_iter().try_for_each(Contender::end)?;
    if plan.has(Part::Crowd) {
        tell("starts with many workers alive");
        others.crowd = crowd::measure(plan, mpforkd, skipped)?;
    }
    if plan.has(Part::Drift) {
        tell("many starts with workers alive");
        others.drift = drift::measure(plan, &latencies, mpforkd, skipped)?;
    }
    if plan.has(Part::Writers) {
        tell("workers that write");
        others.writers = writers::measure(plan, mpforkd, skipped)?;
    }
    tell("done");
    Ok((latencies, others))
}

/// Leaves CPython out where there is none.
fn without_python(plan: &mut Plan, skipped: &mut Vec<String>) {
    if !plan.ways.iter().any(|way| way.is_python()) {
        return;
    }
    let version = std::process::Command::new("python3")
        .arg("--version")
        .output();
    match version {
        Ok(output) if output.status.success() => {}
        Ok(output) => skipped.push(format!("CPython: python3 ended with {}", output.status)),
        Err(error) => skipped.push(format!("CPython: python3: {error}")),
    }
    if !skipped.is_empty() {
        // There is one reason alone so far.
        plan.ways.retain(|way| !way.is_python());
    }
}
