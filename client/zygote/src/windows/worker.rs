//! A worker: runs its function, tells how that went, and ends.

use super::stream::{Told, read_argument, read_assignment, tell};
use crate::fault::{BoxError, Fault, attempt, caused_by, cut};
use crate::registry::{HookError, function, hook};
use crate::{Entry, Failed, FailedKind, Returned, panics};
use mpfork_proto::link::{Applied, StartFailed, WorkerReport, assigned_task, worker_report};
use mpfork_proto::v1::failure::Kind;
use mpfork_proto::v1::{Parent, StartWay, WorkerId};
use mpfork_sys::exit::{at_exit, exit_now, flush_c_stdio};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The worker that this process is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Current {
    /// Its id.
    pub id: WorkerId,
    /// Its name; may be empty.
    pub name: String,
    /// How it was made.
    pub way: StartWay,
    /// Who started it.
    pub parent: Option<Parent>,
}

static CURRENT: OnceLock<Current> = OnceLock::new();
static REPORTS: Mutex<Option<File>> = Mutex::new(None);
static FAILED: AtomicBool = AtomicBool::new(false);
static ENDING: AtomicBool = AtomicBool::new(false);
static BEFORE: OnceLock<fn()> = OnceLock::new();

/// The exit code of a worker that could not start.
const NOT_STARTED: i32 = 126;
const MAX_TEXT_BYTES: usize = 8 << 10;

/// The worker that this process is; `None` when it is none.
#[must_use]
pub fn current() -> Option<&'static Current> {
    CURRENT.get()
}

/// The program's arguments, its name first: those of [`std::env::args_os`], also in a worker that goes on
/// with `main`, which is executed with its own.
pub fn args_os() -> impl Iterator<Item = OsString> + use<> {
    std::env::args_os()
}

/// Has `before` called when this process, as a worker, ends in order, before the hooks. Only the first
/// one given counts.
#[doc(hidden)]
pub fn at_end(before: fn()) {
    let _ = BEFORE.set(before);
}

/// Takes the assignment. Returns when that is to go on with `main`.
pub(super) fn become_worker(mut assignment: File, reports: File) {
    *lock() = Some(reports);
    let frame = match read_assignment(&mut assignment) {
        Ok(read) => read,
        // Nobody is left who wants this worker.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => exit_now(NOT_STARTED),
        Err(error) => start_failed("assignment", &error.to_string()),
    };
    let way = frame.way();
    let _ = CURRENT.set(Current {
        id: frame.id.unwrap_or_default(),
        name: frame.name,
        way,
        parent: frame.parent,
    });
    let entry = match frame.task.and_then(|task| task.task) {
        Some(assigned_task::Task::Function(function)) => match find(function) {
            Ok(entry) => Some(entry),
            Err(message) => start_failed("function", &message),
        },
        Some(assigned_task::Task::Main(_)) => None,
        Some(assigned_task::Task::Command(_)) | None => {
            start_failed("assignment", "it names no task that can be done here")
        }
    };
    let hooks = match hook::all() {
        Ok(hooks) => hooks,
        Err(error) => start_failed("hooks", &error.to_string()),
    };
    report(worker_report::Report::Applied(Applied {
        pid: std::process::id().cast_signed(),
        not_applied: Vec::new(),
    }));
    let task = entry.map(|entry| match read_argument(&mut assignment) {
        Ok(argument) => (entry, argument),
        // Whoever started it has gone.
        Err(_) => exit_now(NOT_STARTED),
    });
    drop(assignment);
    panics::install();
    panics::tell(|panic| failure(&Fault::of_panic(panic.clone()), Kind::Panic));
    at_exit(end_of_main);
    for hook in &hooks.after_fork {
        if let Err(error) = hook::run(hook) {
            hook_failed(&error);
            flush();
            exit_now(1);
        }
    }
    if let Some((entry, argument)) = task {
        end(run(entry, &argument));
    }
}

fn find(function: mpfork_proto::link::assigned_task::Function) -> Result<Entry, String> {
    use assigned_task::function::Target;
    match function.target {
        Some(Target::Name(name)) => function::find(&name),
        Some(Target::Offset(offset)) => mpfork_sys::entry::entry_at(offset)
            .ok_or_else(|| format!("there is no function at offset {offset:#x} of this program")),
        None => Err("the function has neither name nor offset".to_owned()),
    }
}

/// Runs the function; the exit code.
fn run(entry: Entry, argument: &[u8]) -> i32 {
    match call(entry, argument) {
        Ok(code) => code,
        Err((fault, kind)) => {
            // A panic has been printed already.
            if !fault.panicked() {
                print(&fault);
            }
            failure(&fault, kind);
            1
        }
    }
}

fn call(entry: Entry, argument: &[u8]) -> Result<i32, (Fault, Kind)> {
    let returned =
        attempt(|| Ok::<_, BoxError>(entry(argument))).map_err(|fault| (fault, Kind::Panic))?;
    match returned {
        Returned::Value(value) => {
            send(Told::Value(value));
            Ok(0)
        }
        Returned::Code(code) => Ok(code.into()),
        Returned::Failed(Failed {
            kind,
            message,
            chain,
            value,
        }) => {
            if let Some(value) = value {
                send(Told::Value(value));
            }
            let kind = match kind {
                FailedKind::Error => Kind::Error,
                FailedKind::Argument => Kind::Argument,
                FailedKind::Result => Kind::Result,
            };
            Err((Fault::of_error(message, chain), kind))
        }
    }
}

fn print(fault: &Fault) {
    let mut text = format!("Error: {}\n", fault.message());
    if !fault.chain().is_empty() {
        text.push_str(&format!("\n{}\n", caused_by(fault.chain())));
    }
    // Nobody may be reading.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn lock() -> MutexGuard<'static, Option<File>> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever started the worker may not want to know any more; its end goes on.
#[allow(clippy::needless_pass_by_value)] // it may be large, and is not needed afterwards
fn send(told: Told) {
    if let Some(reports) = lock().as_mut() {
        let _ = tell(reports, &told);
    }
}

fn report(report: worker_report::Report) {
    send(Told::Report(WorkerReport {
        report: Some(report),
    }));
}

fn start_failed(what: &str, message: &str) -> ! {
    report(worker_report::Report::StartFailed(StartFailed {
        what: what.to_owned(),
        errno: 0,
        message: cut(message, MAX_TEXT_BYTES),
    }));
    exit_now(NOT_STARTED)
}

/// Only the first failure counts.
fn failure(fault: &Fault, kind: Kind) {
    if !FAILED.swap(true, Ordering::AcqRel) {
        report(worker_report::Report::Failure(fault.to_failure(kind)));
    }
}

fn hook_failed(error: &HookError) {
    let _ = writeln!(io::stderr(), "Error: {error}");
    failure(&error.named(), Kind::Hook);
}

/// At the end of a worker's `main`, whose exit code stays.
extern "C" fn end_of_main() {
    if let Some(panic) = panics::last_of_main() {
        failure(&Fault::of_panic(panic), Kind::Panic);
    }
    before_end();
    flush();
}

/// What is done once, before the worker ends in order; false when a hook failed.
fn before_end() -> bool {
    if ENDING.swap(true, Ordering::AcqRel) {
        return true;
    }
    if let Some(before) = BEFORE.get() {
        before();
    }
    let mut fine = true;
    for hook in hook::all().iter().flat_map(|hooks| &hooks.at_worker_exit) {
        if let Err(error) = hook::run(hook) {
            hook_failed(&error);
            fine = false;
        }
    }
    fine
}

fn end(code: i32) -> ! {
    let fine = before_end();
    flush();
    exit_now(if code == 0 && !fine { 1 } else { code })
}

/// Writes out what Rust's and C's standard streams have buffered.
fn flush() {
    // Lost with the stream, as at any program's end.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    flush_c_stdio();
}
