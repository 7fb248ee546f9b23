//! What fails, in the same words whoever drives the zygote.

use crate::control::FirstReports;
use mpfork_proto::link::assigned_state::Placed;
use mpfork_proto::link::{ForkFailed, KeptDescriptor, PreloadFailed};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, WorkerId};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a zygote did that closed its link and lives on.
pub const LINK_CLOSED: &str = "it closed its link before it was ready";

/// What a zygote did that ended so.
#[must_use]
pub fn ended_early(status: &impl Display) -> String {
    format!("it ended ({status}) before it was ready")
}

/// What a program did that does not know the protocol.
#[must_use]
pub fn no_welcome(limit: Duration) -> String {
    format!(
        "it did not answer within {}: does it call freeze_support() first thing in main?",
        humantime::format_duration(limit)
    )
}

/// A zygote can't be had.
#[must_use]
pub fn zygote(name: &str, what: impl Display, output: &str) -> Problem {
    let mut message = format!("the zygote of {name} failed: {what}");
    if !output.is_empty() {
        message.push_str("; it printed: ");
        message.push_str(output);
    }
    Problem::new(Reason::ZygoteFailed, message)
        .with("template", name)
        .with("message", what)
        .with("output", output)
}

/// A zygote's program can't be executed.
#[must_use]
pub fn execution(name: &str, program: &Path, error: &io::Error) -> Problem {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => Problem::limit("open files", error),
        Some(Errno::AGAIN) => Problem::limit("processes", error),
        Some(Errno::NOMEM) => Problem::limit("memory", error),
        _ => zygote(name, format!("it can't be executed: {error}"), "")
            .with("program", program.display()),
    }
}

/// All this time the user had too many descriptors in flight.
#[must_use]
pub fn too_many_in_flight(error: &io::Error) -> Problem {
    Problem::limit("descriptors in flight of the user", error)
}

/// Zygotes died, one after another, while they were to fork a worker.
#[must_use]
pub fn zygotes_died(name: &str, tries: u32) -> Problem {
    Problem::new(
        Reason::ZygoteFailed,
        format!("{tries} zygotes of {name} died while they were to fork a worker"),
    )
    .with("template", name)
    .with("message", "its zygotes die")
    .with("output", "")
}

/// A program speaks another version of the link.
#[must_use]
pub fn version(name: &str, program: impl Display, supervisor: &str, version: &str) -> Problem {
    Problem::new(
        Reason::VersionMismatch,
        format!(
            "the zygote of {name} speaks no version of the link protocol that {supervisor} speaks"
        ),
    )
    .with("client", program)
    .with("daemon", version)
}

/// A preload did not end in time.
#[must_use]
pub fn preload_timed_out(name: &str, preload: &str, limit: Duration, output: &str) -> Problem {
    let limit = humantime::format_duration(limit);
    Problem::new(
        Reason::PreloadTimedOut,
        format!("preload {preload:?} of {name} did not end within {limit}"),
    )
    .with("template", name)
    .with("preload", preload)
    .with("limit", limit)
    .with("output", output)
}

/// What a zygote did that has loaded everything and is not ready.
#[must_use]
pub fn not_ready(limit: Duration) -> String {
    let limit = humantime::format_duration(limit);
    format!("it has loaded everything, but was not ready within {limit}: is it in a hook?")
}

/// A preload failed, or the list of preloads was wrong, or there are threads.
#[must_use]
pub fn preload(name: &str, failed: PreloadFailed, output: &str) -> Problem {
    if failed.bad_request {
        return Problem::bad_request("preloads", failed.message).with("template", name);
    }
    let preload = failed.preload;
    if !failed.threads.is_empty() {
        let threads = failed.threads.join(", ");
        let message = if !failed.hook.is_empty() {
            let hook = failed.hook;
            format!("after-preload hook {hook} of {name} left threads running: {threads}")
        } else if preload.is_empty() {
            format!("the zygote of {name} failed: {}: {threads}", failed.message)
        } else {
            format!("preload {preload:?} of {name} left threads running: {threads}")
        };
        return Problem::new(Reason::ZygoteHasThreads, message)
            .with("template", name)
            .with("preload", preload)
            .with("threads", threads);
    }
    if !failed.hook.is_empty() {
        let (hook, message) = (failed.hook, failed.message);
        return Problem::new(
            Reason::HookFailed,
            format!("after-preload hook {hook} of {name} failed: {message}"),
        )
        .with("template", name)
        .with("hook", hook)
        .with("message", message)
        .with("trace", failed.trace)
        .with("output", output);
    }
    Problem::new(
        Reason::PreloadFailed,
        format!("preload {preload:?} of {name} failed: {}", failed.message),
    )
    .with("template", name)
    .with("preload", preload)
    .with("message", failed.message)
    .with("trace", failed.trace)
    .with("output", output)
}

/// A zygote could not fork.
#[must_use]
pub fn fork(name: &str, failed: ForkFailed) -> Problem {
    let problem = if !failed.threads.is_empty() {
        let threads = failed.threads.join(", ");
        Problem::new(
            Reason::ZygoteHasThreads,
            format!("the zygote of {name} can't fork: it has other threads: {threads}"),
        )
        .with("threads", threads)
        // Not known any more: it left none running while it was loaded.
        .with("preload", "")
    } else if failed.hook.is_empty() {
        Problem::new(
            Reason::ForkFailed,
            format!("the zygote of {name} could not fork: {}", failed.message),
        )
        .with("errno", failed.errno)
        .with("message", failed.message)
    } else {
        hook(name, &failed.hook, &failed.message)
    };
    problem.with("template", name)
}

/// A before-fork hook failed.
#[must_use]
pub fn hook(name: &str, hook: &str, message: &str) -> Problem {
    Problem::new(
        Reason::HookFailed,
        format!("before-fork hook {hook} of {name} failed: {message}"),
    )
    .with("template", name)
    .with("hook", hook)
    .with("message", message)
}

/// A zygote did not answer.
#[must_use]
pub fn no_fork(zygote: i32, name: &str, limit: Duration) -> Problem {
    let limit = humantime::format_duration(limit);
    Problem::new(
        Reason::ForkFailed,
        format!("zygote {zygote} did not fork within {limit}: is it stopped, or in a hook?"),
    )
    .with("template", name)
    .with("errno", Errno::TIMEDOUT.raw_os_error())
    .with("message", "no answer")
}

/// Whether a worker has begun: its start state is applied, and of a command the program executed.
///
/// # Errors
/// Why it has not.
pub fn check_begun(
    worker: WorkerId,
    task: &str,
    timed_out: bool,
    reports: FirstReports,
) -> Result<(), Problem> {
    if let Some(failed) = reports.exec_failed {
        return Err(Problem::new(Reason::ExecFailed, failed.message.clone())
            .with("program", task)
            .with("errno", failed.errno)
            .with("message", failed.message));
    }
    if let Some(failed) = reports.start_failed {
        return Err(Problem::new(
            Reason::StartStateFailed,
            format!("can't start {task}: {}: {}", failed.what, failed.message),
        )
        .with("what", failed.what)
        .with("errno", failed.errno)
        .with("message", failed.message));
    }
    // One that ran out of its time before has ended as others do: by its time limit.
    if !reports.applied && !timed_out {
        return Err(Problem::new(
            Reason::WorkerLost,
            format!("worker {worker} ended before it began {task}"),
        )
        .with("worker", worker)
        .with("message", "ended before it began"));
    }
    Ok(())
}

/// Descriptors of the preloads stay where they are in every worker.
///
/// # Errors
/// When one is to get the number of such a descriptor.
pub fn check_targets(placed: &[Placed], kept: &[v1::KeptDescriptor]) -> Result<(), Problem> {
    for placed in placed {
        if let Some(kept) = kept.iter().find(|kept| kept.number == placed.target) {
            return Err(Problem::bad_request(
                "spec.state.descriptors",
                format!(
                    "number {} belongs to a descriptor that the preloads opened: {}",
                    kept.number, kept.what
                ),
            ));
        }
    }
    Ok(())
}

/// What a zygote tells of its descriptors, as it is told to others.
#[must_use]
pub fn kept(kept: Vec<KeptDescriptor>) -> Vec<v1::KeptDescriptor> {
    let convert = |kept: KeptDescriptor| v1::KeptDescriptor {
        number: kept.number,
        what: kept.what,
    };
    kept.into_iter().map(convert).collect()
}

/// Which functions a program has registered, its zygote has told.
///
/// # Errors
/// When this one is not among them.
pub fn check_function(
    name: &str,
    program: &str,
    functions: &HashSet<String>,
) -> Result<(), Problem> {
    const SHOWN: usize = 20;
    if functions.contains(name) {
        return Ok(());
    }
    let mut known: Vec<&str> = functions.iter().map(String::as_str).collect();
    known.sort_unstable();
    let mut detail = format!("{program} has registered no function {name:?}");
    if !known.is_empty() {
        let more = if known.len() > SHOWN { ", ..." } else { "" };
        known.truncate(SHOWN);
        detail.push_str(&format!("; there are {}{more}", known.join(", ")));
    }
    Err(Problem::bad_request("spec.task.function.name", detail))
}
