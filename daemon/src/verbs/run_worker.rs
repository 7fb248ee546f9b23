//! Starts a worker owned by this connection; tells its start, later its exit.

use super::{Call, Streamed, start_worker};
use futures_util::stream::{self, StreamExt as _};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{RunWorkerRequest, RunWorkerResponse, run_worker_response::Event};

pub(super) async fn serve(
    call: Call<RunWorkerRequest>,
) -> Result<Streamed<RunWorkerResponse>, Problem> {
    let (worker, started) = start_worker::begin(call.with(|request| request.spec), false).await?;
    let event = |event| Ok(RunWorkerResponse { event: Some(event) });
    let exited = async move {
        let exit = worker.ended().await;
        event(Event::Exited((*exit).clone()))
    };
    let started = stream::iter([event(Event::Started(started))]);
    Ok(Box::pin(started.chain(stream::once(exited))))
}
