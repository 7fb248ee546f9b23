//! Renders a batch of documents as HTML, each in a process of its own, so that one that the renderer
//! can't cope with does no harm to the others.
//!
//!     render-pages METHOD    fork, spawn or forkserver
#![forbid(unsafe_code)]

mod document;
mod render;

use mpfork::{Context, Error, FailureKind, StartMethod, Stdio};
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    mpfork::freeze_support();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("render-pages: {error}");
            // The code that the crate has for each of its errors.
            let code = error.downcast_ref().map_or(1, Error::exit_code);
            ExitCode::from(code)
        }
    }
}

fn run() -> Outcome<()> {
    let method = std::env::args()
        .nth(1)
        .ok_or("usage: render-pages METHOD")?;
    let method: StartMethod = method.parse().map_err(Error::from)?;
    let ctx = mpfork::get_context(method)?;
    println!(
        "by {}, server: {:?}",
        ctx.start_method(),
        ctx.server()?.kind
    );

    // It goes on for ever. The daemon flag has it ended when this program ends.
    let watch = ctx.process(watch, ()).name("watch").daemon(true).start()?;

    // All are rendered at the same time.
    let batch = document::batch();
    let started: Result<Vec<_>, Error> = batch
        .into_iter()
        .map(|document| {
            let name = document.name.clone();
            let page = ctx.spawn(mpfork::typed(render::render), document)?;
            Ok((name, page))
        })
        .collect();
    let mut index = Vec::new();
    for (name, mut page) in started? {
        match outcome(&mut page)? {
            Ok(page) => {
                println!("{name}: {}", page.html);
                index.push(page.title);
            }
            Err(why) => println!("{name}: {why}"),
        }
    }
    println!("index: {}", sorted(&ctx, &index)?);
    println!("checked: {}", checked(&ctx, &index)?);
    println!("{} is alive: {}", watch.name(), watch.is_alive());
    Ok(())
}

/// The page, or in words what became of its process.
fn outcome(
    page: &mut mpfork::Handle<Result<render::Page, render::Unclear>>,
) -> Result<Result<render::Page, String>, Error> {
    let limit = Duration::from_secs(60);
    match page.join_timeout(limit) {
        Ok(Some(Ok(page))) => Ok(Ok(page)),
        Ok(Some(Err(unclear))) => Ok(Err(format!("line {}: {unclear}", unclear.line))),
        Ok(None) => {
            page.process().kill()?;
            Ok(Err("takes too long".to_owned()))
        }
        Err(Error::Worker(error)) => Ok(Err(match &error.failure {
            Some(failure) if failure.kind == FailureKind::Panic => {
                format!("panicked: {}", failure.message)
            }
            _ => format!("{} (exit code {})", error.exit, error.exit.exitcode()),
        })),
        Err(error) => Err(error),
    }
}

fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// The lines as a program of the system sorts them.
fn sorted(ctx: &Context, lines: &[String]) -> Outcome<String> {
    let sort = ctx.command("sort").arg("-r").env("LC_ALL", "C");
    let mut sort = sort.stdin(Stdio::piped()).stdout(Stdio::piped()).start()?;
    if let Some(mut input) = sort.take_stdin() {
        input.write_all(lines.join("\n").as_bytes())?;
    }
    let mut output = String::new();
    if let Some(mut read) = sort.take_stdout() {
        read.read_to_string(&mut output)?;
    }
    match sort.join(None)? {
        Some(exit) if exit.success() => Ok(output.lines().collect::<Vec<_>>().join(", ")),
        _ => Err(format!("sort ended with {:?}", sort.exitcode()).into()),
    }
}

/// A process that tells by its exit code.
fn checked(ctx: &Context, titles: &[String]) -> Outcome<i32> {
    fn check(titles: Vec<String>, most: usize) -> ExitCode {
        ExitCode::from(if titles.len() > most { 3 } else { 0 })
    }
    let mut check = ctx.process(check, (titles.to_vec(), 1)).start()?;
    check.join(None)?;
    Ok(check.exitcode().ok_or("it goes on")?)
}
