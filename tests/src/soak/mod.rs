//! A soak: several clients start workers that end in every way, some clients are killed amid their
//! starts, and in the end every status was right, nothing is left, and mpforkd is as large as before.

mod check;
mod gauge;
mod load;
mod mix;
mod victim;

use crate::running;
use anyhow::{Context as _, ensure};
use check::Quiet;
use clap::Parser;
use gauge::{Gauge, Trace};
use load::{Load, Tally};
use mpfork::api::Client;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Starts workers for a long time and checks that each ends as it must and that nothing piles up.
#[derive(Debug, Parser)]
#[command(name = "mpfork-soak")]
struct Cli {
    /// How many workers the clients start whose ends are checked.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    starts: u64,

    /// How many clients start them at the same time, each with a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,

    /// How many workers each client has at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    outstanding: u64,

    /// Repeats the choices of an earlier run, which printed its seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Use this mpforkd instead of building it.
    #[arg(long, value_name = "PATH")]
    mpforkd: Option<PathBuf>,

    /// Be a client that starts workers until it is killed.
    #[arg(long, value_name = "SOCKET", hide = true)]
    victim: Option<PathBuf>,
}

/// Ended workers are remembered; after so many the memory for that no longer grows.
const RETAINED: u64 = 500;
/// Before the first gauge mpforkd has what it keeps: caches, threads, remembered exits.
const WARM_UP: u64 = 3 * RETAINED;
/// No exit is awaited longer. Workers take some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything `main` does.
#[must_use]
pub fn main_impl() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.victim {
        Some(socket) => on_a_runtime(victim::be(socket)),
        None => run(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mpfork-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn on_a_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(future)
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let program = match &cli.mpforkd {
        Some(program) => program.clone(),
        None => running::build()?,
    };
    let seed = cli.seed.unwrap_or_else(rand::random);
    println!("seed        {seed}");
    let config = format!("[limits]\nretained_exits = {RETAINED}\n[timeouts]\nidle = \"1d\"\n");
    let daemon = running::Daemon::start(&program, &config)?;
    let soaked = on_a_runtime(soak(cli, &daemon, StdRng::seed_from_u64(seed)));
    // In order, whatever came out: a mpforkd that is killed leaves what runs.
    let ended = daemon.shut_down();
    soaked?;
    ended?;
    println!("all is as it must be");
    Ok(())
}

async fn soak(cli: &Cli, daemon: &running::Daemon, mut random: StdRng) -> anyhow::Result<()> {
    let observer = Client::connect(Some(daemon.socket())).await?;
    let mut load = |starts| Load {
        socket: daemon.socket().to_owned(),
        starts,
        clients: cli.clients,
        outstanding: cli.outstanding,
        seed: random.random(),
    };
    let (first, second) = (load(WARM_UP), load(cli.starts));
    first.run().await.context("warming up")?;
    let before = Quiet::reached(&observer, daemon.pid()).await?;

    let trace = Trace::of(daemon.pid());
    let killed = Cell::new(0);
    let began = Instant::now();
    let tally = tokio::select! {
        tally = second.run() => tally?,
        failed = victim::kill_some(daemon.socket(), random, &killed) => failed?,
        failed = trace.watch() => failed?,
    };
    let took = began.elapsed();
    let after = Quiet::reached(&observer, daemon.pid()).await?;
    let most = trace.most();
    report(cli, &tally, took, [&before.gauge, &most, &after.gauge]);
    println!("killed      {} clients amid their starts", killed.get());
    let totals = &after.totals;
    println!(
        "in all      {} workers started, {} exited, {} starts failed",
        totals.started, totals.exited, totals.failed
    );
    ensure!(tally.starts() == cli.starts, "not all were started");
    after.compare(&before, &most, cli.clients * cli.outstanding)
}

fn report(cli: &Cli, tally: &Tally, took: Duration, gauges: [&Gauge; 3]) {
    let seconds = took.as_secs_f64();
    println!(
        "starts      {} by {} clients with {} at a time, in {seconds:.1} s: {:.0} a second",
        tally.starts(),
        cli.clients,
        cli.outstanding,
        tally.starts() as f64 / seconds,
    );
    for (kind, count) in tally.kinds() {
        println!("            {count:>7} {kind}");
    }
    let [before, most, after] = gauges;
    let mib = |gauge: &Gauge| gauge.rss as f64 / f64::from(1 << 20);
    println!(
        "memory      {:.1} MiB before, {:.1} MiB at most, {:.1} MiB after",
        mib(before),
        mib(most),
        mib(after)
    );
    println!(
        "descriptors {} before, {} at most, {} after",
        before.descriptors, most.descriptors, after.descriptors
    );
}
