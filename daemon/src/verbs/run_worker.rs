//! Starts a worker owned by this connection; tells its start, later its exit.

use super::{Call, Streamed, start_worker};
use futures_util::stream;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{RunWorkerRequest, RunWorkerResponse, run_worker_response::Event};

pub(super) async fn serve(
    call: Call<RunWorkerRequest>,
) -> Result<Streamed<RunWorkerResponse>, Problem> {
    let (worker, started) = start_worker::begin(call.with(|request| request.spec), false).await?;
    // What is told first is not kept as long as the worker runs.
    let first = (Some(worker), Some(Box::new(started)));
    let events = stream::unfold(first, async |(mut worker, started)| {
        let event = match started {
            Some(started) => Event::Started(*started),
            None => Event::Exited((*worker.take()?.ended().await).clone()),
        };
        let response = RunWorkerResponse { event: Some(event) };
        Some((Ok(response), (worker, None)))
    });
    Ok(Box::pin(events))
}
