//! Waits for a worker's end; answers at once for one that has ended.

use super::Call;
use crate::convert::from_wire;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{WaitWorkerRequest, WaitWorkerResponse};

pub(super) async fn serve(call: Call<WaitWorkerRequest>) -> Result<WaitWorkerResponse, Problem> {
    let worker = call.daemon.workers.get(call.message.worker)?;
    let exit = match call.message.timeout {
        None => Some(worker.ended().await),
        Some(timeout) => {
            let timeout = from_wire("timeout", timeout)?;
            tokio::time::timeout(timeout, worker.ended()).await.ok()
        }
    };
    // What failed may have a long trace, and thousands may wait for the same worker.
    if let (Some(_), Some(held)) = (&exit, &call.held) {
        held.turn().await;
    }
    Ok(WaitWorkerResponse {
        exit: exit.map(|exit| (*exit).clone()),
    })
}
