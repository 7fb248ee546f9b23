//! The workers, with their memory when asked for.

use super::Call;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{ListWorkersRequest, ListWorkersResponse, Worker};

/// The most workers one answer lists; what is over is the oldest ended ones.
const MOST: usize = 20_000;

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
    let over = workers.len().saturating_sub(MOST);
    workers.drain(..over);
    if request.memory {
        workers = with_memory(workers).await;
    }
    Ok(ListWorkersResponse { workers })
}

/// Reads the memory of those that run, on a thread that may block.
pub(super) async fn with_memory(mut workers: Vec<Worker>) -> Vec<Worker> {
    let read = tokio::task::spawn_blocking(move || {
        for worker in workers.iter_mut().filter(|worker| worker.exit.is_none()) {
            // One that ends meanwhile has none.
            worker.memory = crate::processes::memory(worker.pid).ok();
        }
        workers
    });
    read.await.unwrap_or_default()
}
