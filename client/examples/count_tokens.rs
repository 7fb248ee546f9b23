//! Counts the tokens of files, as GPT-4o and later models see them. Each file is counted in a worker
//! process of its own, which finds the vocabulary loaded.
//!
//! With `mpforkd` running:
//!
//! ```text
//! cargo run --release -p mpfork --example count_tokens -- README.md CHANGELOG.md
//! ```
#![forbid(unsafe_code)]

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use tiktoken_rs::CoreBPE;

mpfork::preload! {
    /// 200,000 tokens in hash maps. Loaded once, in the zygote; every worker shares that memory.
    static VOCABULARY: CoreBPE = load_vocabulary;
}

fn load_vocabulary() -> anyhow::Result<CoreBPE> {
    let vocabulary = tiktoken_rs::o200k_base()?;
    // What is built at first use is built here too, and not in each worker.
    vocabulary.count_ordinary("hello world");
    Ok(vocabulary)
}

/// Runs in a worker: in the directory and with the environment of the program that asked for it.
fn count_tokens(path: PathBuf) -> std::io::Result<usize> {
    let text = std::fs::read_to_string(path)?;
    Ok(VOCABULARY.count_ordinary(&text))
}

fn main() -> anyhow::Result<ExitCode> {
    mpfork::freeze_support();
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match args.as_slice() {
        [] => {
            eprintln!("usage: count_tokens FILE...");
            Ok(ExitCode::from(2))
        }
        // What the comparison below executes: a program that loads the vocabulary itself.
        [one, file] if one.as_os_str() == "--one" => {
            println!("{}", count_tokens(file.clone())?);
            Ok(ExitCode::SUCCESS)
        }
        files => count_all(files),
    }
}

fn count_all(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    let began = Instant::now();
    let mut first_start = None;
    let mut counts = Vec::new();

    println!("   tokens  file");
    for batch in files.chunks(32) {
        let mut calls = Vec::new();
        for file in batch {
            calls.push((file, ctx.spawn(count_tokens, file.clone())?));
            first_start.get_or_insert_with(|| began.elapsed());
        }
        for (file, call) in calls {
            match call.join() {
                Ok(tokens) => {
                    println!("{tokens:>9}  {}", file.display());
                    counts.push((tokens, file));
                }
                Err(error) => eprintln!("{}: {error}", file.display()),
            }
        }
    }
    let total: usize = counts.iter().map(|(tokens, _)| tokens).sum();
    println!("{total:>9}  total\n");

    if let Some(time) = first_start {
        print_time(time, "until the first worker of this run was started");
    }
    if let Some((_, shortest)) = counts.iter().min() {
        compare(&ctx, shortest)?;
    }
    let all = counts.len() == files.len();
    Ok(ExitCode::from(u8::from(!all)))
}

/// What one count takes with the vocabulary preloaded and without.
fn compare(ctx: &mpfork::Context, file: &Path) -> anyhow::Result<()> {
    let warm = median(25, || {
        Ok(ctx.spawn(count_tokens, file.to_owned())?.join()?)
    })?;
    let program = std::env::current_exe()?;
    let cold = median(5, || {
        let output = Command::new(&program).arg("--one").arg(file).output()?;
        let count = String::from_utf8(output.stdout)?;
        count.trim().parse().context("the cold start gave no count")
    })?;
    let faster = cold.as_secs_f64() / warm.as_secs_f64();
    println!(
        "to count {} alone, from the request to the result:",
        file.display()
    );
    print_time(
        cold,
        "cold: this program executed anew, which loads the vocabulary",
    );
    print_time(warm, "warm: a worker, which finds it loaded");
    println!("{faster:>9.0} times faster");
    Ok(())
}

/// The median time of some runs.
fn median(runs: usize, run: impl Fn() -> anyhow::Result<usize>) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let began = Instant::now();
        run()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[runs / 2])
}

fn print_time(time: Duration, what: &str) {
    println!("{:>9.2} ms  {what}", time.as_secs_f64() * 1e3);
}
