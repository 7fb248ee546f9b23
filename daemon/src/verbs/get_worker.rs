//! One worker.

use super::{Call, list_workers::with_memory};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{GetWorkerRequest, GetWorkerResponse};

pub(super) async fn serve(call: Call<GetWorkerRequest>) -> Result<GetWorkerResponse, Problem> {
    let worker = call.daemon.workers.get(call.message.worker)?.describe();
    let mut workers = vec![worker];
    if call.message.memory {
        workers = with_memory(&call.daemon, workers).await?;
    }
    Ok(GetWorkerResponse {
        worker: workers.pop(),
    })
}
