//! The workers, with their memory when asked for.

use super::Call;
use crate::daemon::Daemon;
use mpfork_proto::Message as _;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ListWorkersRequest, ListWorkersResponse, Worker};
use mpfork_sys::sentinel;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The most bytes of one answer, below what clients take.
const MOST: usize = mpfork_proto::MAX_MESSAGE_BYTES / 8 * 7;
/// So many read memory at a time, of thousands of workers maybe: threads that may block are few, and
/// programs that register need them too.
static READERS: Semaphore = Semaphore::const_new(2);

pub(super) async fn serve(call: Call<ListWorkersRequest>) -> Result<ListWorkersResponse, Problem> {
    let request = call.message;
    let label = if request.template.is_empty() {
        None
    } else {
        Some(call.daemon.templates.get(&request.template)?.label.clone())
    };
    let mut workers: Vec<Worker> = call
        .daemon
        .workers
        .all()
        .iter()
        .filter(|worker| request.ended || worker.is_running())
        .filter(|worker| label.as_ref().is_none_or(|label| *label == worker.template))
        .map(|worker| worker.describe())
        .collect();
    if request.memory {
        workers = with_memory(&call.daemon, workers).await?;
    }
    let omitted = fit(&mut workers);
    Ok(ListWorkersResponse { workers, omitted })
}

/// Leaves out the oldest ended workers until the answer fits; how many.
fn fit(workers: &mut Vec<Worker>) -> u64 {
    let mut bytes: usize = workers.iter().map(|worker| worker.encoded_len() + 8).sum();
    let mut omitted = 0;
    workers.retain(|worker| {
        let out = bytes > MOST && worker.exit.is_some();
        if out {
            bytes -= worker.encoded_len() + 8;
            omitted += 1;
        }
        !out
    });
    omitted
}

/// Reads the memory of those that run, on a thread that may block, as long as the caller waits for it.
pub(super) async fn with_memory(
    daemon: &Daemon,
    mut workers: Vec<Worker>,
) -> Result<Vec<Worker>, Problem> {
    // It is never closed.
    let _reading = READERS.acquire().await;
    let caller = Arc::new(());
    let waits = Arc::downgrade(&caller);
    let read = tokio::task::spawn_blocking(move || {
        for worker in workers.iter_mut().filter(|worker| worker.exit.is_none()) {
            if waits.strong_count() == 0 {
                break;
            }
            // One that ends meanwhile has none.
            worker.memory = crate::processes::memory(worker.pid).ok();
        }
        workers
    });
    let mut workers = read.await.map_err(|error| {
        Problem::new(Reason::Internal, "reading workers' memory failed")
            .with("detail", error.to_string())
    })?;
    drop(caller);
    // What was read after a worker's end may be of another process that has got its pid: not before it was
    // reaped.
    let runs = |id| {
        let worker = daemon.workers.get(Some(id)).ok();
        let worker = worker.and_then(|worker| Some((worker.pid, worker.pidfd()?)));
        worker.is_some_and(|(pid, pidfd)| sentinel::signal(pid, pidfd.as_fd(), 0).is_ok())
    };
    for worker in &mut workers {
        worker.memory = worker.memory.filter(|_| worker.worker.is_some_and(runs));
    }
    Ok(workers)
}
