//! Starts a worker, detached or owned by this connection.

use super::Call;
use crate::worker::request::StartRequest;
use crate::worker::start::start;
use crate::worker::{Worker, end};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{StartWay, StartWorkerRequest, StartWorkerResponse, Started, WorkerSpec};
use mpfork_transport::Connection;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn serve(call: Call<StartWorkerRequest>) -> Result<StartWorkerResponse, Problem> {
    let detached = call.message.detached;
    let (_, started) = begin(call.with(|request| request.spec), detached).await?;
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
    let mut request = StartRequest::parse(spec, &call.connection)?;
    request.deadline = call.deadline;
    request.held = call.held;
    let owner = (!detached).then(|| call.daemon.peers.owner(&call.connection));
    let (worker, pidfd) = start(&call.daemon, request, owner, decoded).await?;
    let pidfd = match pass_pidfd(&call.connection, pidfd).await {
        Ok(pidfd) => pidfd,
        Err(problem) => {
            // Nobody learns of this worker: a start that fails leaves nothing. When the connection
            // has ended that is its owner's death, or the answer was lost and may be asked for again.
            if !call.connection.is_closed() {
                let _ = end::signal(&call.daemon, &worker, nix::libc::SIGKILL, true);
            }
            return Err(problem);
        }
    };
    let started = Started {
        worker: Some(worker.id),
        pid: worker.pid,
        pidfd,
        way: StartWay::Fork.into(),
    };
    Ok((worker, started))
}

async fn pass_pidfd(
    connection: &Connection,
    pidfd: Option<Arc<OwnedFd>>,
) -> Result<Option<mpfork_proto::v1::Descriptor>, Problem> {
    let Some(pidfd) = pidfd.filter(|_| connection.carries_descriptors()) else {
        return Ok(None);
    };
    // Credit first: a copy of the pidfd that waits for credit would use up descriptors.
    let reservation = connection.reserve(1).await?;
    let pidfd = pidfd
        .try_clone()
        .map_err(|error| Problem::limit("open files of mpforkd", error))?;
    let queued = reservation.queue(vec![pidfd])?;
    Ok(queued.descriptors.into_iter().next())
}
