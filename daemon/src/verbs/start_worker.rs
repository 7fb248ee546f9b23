//! Starts a worker, detached or owned by this connection.

use super::Call;
use crate::worker::Worker;
use crate::worker::request::StartRequest;
use crate::worker::start::start;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{StartWay, StartWorkerRequest, StartWorkerResponse, Started, WorkerSpec};
use mpfork_transport::Connection;
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn serve(call: Call<StartWorkerRequest>) -> Result<StartWorkerResponse, Problem> {
    let detached = call.message.detached;
    let spec = call.message.spec;
    let call = Call {
        daemon: call.daemon,
        connection: call.connection,
        message: spec,
    };
    let (_, started) = begin(call, detached).await?;
    Ok(StartWorkerResponse {
        started: Some(started),
    })
}

/// Starts a worker and tells so; `RunWorker` does the same before it waits.
pub(super) async fn begin(
    call: Call<Option<WorkerSpec>>,
    detached: bool,
) -> Result<(Arc<Worker>, Started), Problem> {
    let decoded = Instant::now();
    let spec = call
        .message
        .ok_or_else(|| Problem::bad_request("spec", "none is given"))?;
    let request = StartRequest::parse(spec, &call.connection)?;
    let owner = (!detached).then(|| call.daemon.peers.owner(&call.connection));
    let worker = start(&call.daemon, request, owner, decoded).await?;
    let started = Started {
        worker: Some(worker.id),
        pid: worker.pid,
        pidfd: pass_pidfd(&call.connection, &worker).await?,
        way: StartWay::Fork.into(),
    };
    Ok((worker, started))
}

async fn pass_pidfd(
    connection: &Connection,
    worker: &Worker,
) -> Result<Option<mpfork_proto::v1::Descriptor>, Problem> {
    if !connection.carries_descriptors() {
        return Ok(None);
    }
    // Credit first: a copy of the pidfd that waits for credit would use up descriptors.
    let reservation = connection.reserve(1).await?;
    let Some(pidfd) = worker.pidfd() else {
        return Ok(None);
    };
    let pidfd = pidfd
        .try_clone()
        .map_err(|error| Problem::limit("open files of mpforkd", error))?;
    let queued = reservation.queue(vec![pidfd])?;
    Ok(queued.descriptors.into_iter().next())
}
