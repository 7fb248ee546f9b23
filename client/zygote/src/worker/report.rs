//! What a worker tells its supervisor over its own socket. All of it fits in the socket's buffer,
//! which is read after the worker's end.

use super::{NOT_STARTED, StartError};
use crate::fault::{Fault, cut};
use crate::panics::Panic;
use crate::registry::HookError;
use crate::wire;
use mpfork_proto::link::{Applied, ExecFailed, StartFailed, WorkerReport, worker_report};
use mpfork_proto::v1::failure::Kind;
use mpfork_sys::exit::exit_now;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The worker's own socket, for the rest of its life.
static CONTROL: Mutex<Option<Arc<OwnedFd>>> = Mutex::new(None);
static FAILED: AtomicBool = AtomicBool::new(false);

const MAX_TEXT_BYTES: usize = 8 << 10;

pub(super) fn keep(control: OwnedFd) {
    // A worker that a worker forked is another one.
    *CONTROL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(control));
    // Written only where it changes: the page is shared with the zygote.
    if FAILED.load(Ordering::Acquire) {
        FAILED.store(false, Ordering::Release);
    }
}

pub(super) fn start_failed(control: &impl AsFd, error: StartError) {
    send(
        control,
        worker_report::Report::StartFailed(StartFailed {
            what: error.what.to_owned(),
            errno: error.errno,
            message: cut(&error.message, MAX_TEXT_BYTES),
        }),
    );
}

/// The start state is applied, but for these parts. When the supervisor has given the start up, which
/// a byte behind the assignment tells, the worker ends before it begins. A supervisor that is gone
/// without a word has died: the worker goes on.
pub(super) fn applied(control: &OwnedFd, not_applied: &[String]) {
    let report = WorkerReport {
        report: Some(worker_report::Report::Applied(Applied {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            not_applied: not_applied.iter().map(|what| cut(what, 512)).collect(),
        })),
    };
    if wire::send(control.as_fd(), &report, &[]).is_err()
        && matches!(rustix::io::read(control, &mut [0u8; 1]), Ok(1..))
    {
        exit_now(NOT_STARTED);
    }
}

pub(super) fn exec_failed(control: &OwnedFd, failed: ExecFailed) {
    let message = cut(&failed.message, MAX_TEXT_BYTES);
    send(
        control,
        worker_report::Report::ExecFailed(ExecFailed { message, ..failed }),
    );
}

/// Tells of the failure that ends the worker; only the first counts.
pub(super) fn failure(fault: &Fault, kind: Kind) {
    let control = CONTROL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some(control) = control
        && !FAILED.swap(true, Ordering::AcqRel)
    {
        send(
            &*control,
            worker_report::Report::Failure(fault.to_failure(kind)),
        );
    }
}

pub(super) fn panic(panic: Panic) {
    failure(&Fault::of_panic(panic), Kind::Panic);
}

/// Tells of a failed hook, on standard error too.
pub(super) fn hook(error: &HookError) {
    let _ = writeln!(std::io::stderr(), "Error: {error}");
    if !error.fault().chain().is_empty() {
        let chain = crate::fault::caused_by(error.fault().chain());
        let _ = writeln!(std::io::stderr(), "\n{chain}");
    }
    failure(&error.named(), Kind::Hook);
}

fn send(control: &impl AsFd, report: worker_report::Report) {
    let report = WorkerReport {
        report: Some(report),
    };
    // A supervisor that is gone wants to know nothing, and the worker's end goes on.
    let _ = wire::send(control.as_fd(), &report, &[]);
}
