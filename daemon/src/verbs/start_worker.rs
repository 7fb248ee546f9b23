//! Starts a worker, detached or owned by this connection.

use super::Call;
use crate::daemon::Daemon;
use crate::events::Asked;
use crate::worker::request::StartRequest;
use crate::worker::start::{StartedWorker, refused, start};
use crate::worker::{Worker, end};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{StartWorkerRequest, StartWorkerResponse, Started, WorkerSpec};
use mpfork_transport::Connection;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
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
    let (daemon, connection) = (Arc::clone(&call.daemon), call.connection.clone());
    let (worker, pidfd) = from_spec(call, detached, false).await?;
    let started = told(&daemon, &connection, &worker, pidfd).await?;
    Ok((worker, started))
}

/// Starts what a client asks for, `attaching` to it at the same time or not.
pub(super) async fn from_spec(
    call: Call<Option<WorkerSpec>>,
    detached: bool,
    attaching: bool,
) -> Result<StartedWorker, Problem> {
    let decoded = Instant::now();
    let spec = call.message;
    let (template, name) = spec.as_ref().map_or_else(Default::default, |spec| {
        (spec.template.clone(), spec.name.clone())
    });
    let parsed = spec
        .ok_or_else(|| Problem::bad_request("spec", "none is given"))
        .and_then(|spec| StartRequest::parse(spec, &call.connection, attaching));
    let mut request = parsed.inspect_err(|problem| {
        let asked = Asked {
            template: &template,
            name: &name,
            ..Asked::default()
        };
        refused(&call.daemon, asked, problem);
    })?;
    request.deadline = call.deadline;
    request.held = call.held;
    let peer = call.daemon.peers.owner(&call.connection);
    // Where descriptors do not pass, the peer is a relay.
    let known = call.connection.carries_descriptors();
    let parent = request.start.parent.get_or_insert_default();
    parent.pid = if known { peer.pid } else { 0 };
    parent.socket = call.daemon.socket.as_os_str().as_bytes().to_vec();
    let owner = (!detached).then_some(peer);
    start(&call.daemon, request, owner, decoded).await
}

/// What a client is told of a worker that was started for it.
pub(super) async fn told(
    daemon: &Daemon,
    connection: &Connection,
    worker: &Arc<Worker>,
    pidfd: Option<Arc<OwnedFd>>,
) -> Result<Started, Problem> {
    let pidfd = match pass_pidfd(connection, pidfd).await {
        Ok(pidfd) => pidfd,
        Err(problem) => {
            // Nobody learns of this worker: a start that fails leaves nothing. When the connection
            // has ended that is its owner's death, or the answer was lost and may be asked for again.
            if !connection.is_closed() {
                let _ = end::signal(daemon, worker, nix::libc::SIGKILL, true);
            }
            return Err(problem);
        }
    };
    Ok(Started {
        worker: Some(worker.id),
        pid: worker.pid,
        pidfd,
        way: worker.way.into(),
    })
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
