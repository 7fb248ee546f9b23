//! Signals a worker, or its whole group.

use super::Call;
use crate::worker::end;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{SignalWorkerRequest, SignalWorkerResponse};

pub(super) async fn serve(
    call: Call<SignalWorkerRequest>,
) -> Result<SignalWorkerResponse, Problem> {
    let request = call.message;
    if !(0..=64).contains(&request.signal) {
        return Err(Problem::bad_request("signal", "not in 0..=64"));
    }
    let worker = call.daemon.workers.get(request.worker)?;
    let delivered =
        end::signal(&call.daemon, &worker, request.signal, request.group).map_err(|error| {
            let (id, signal) = (worker.id, request.signal);
            match error.raw_os_error() {
                Some(nix::libc::EPERM) => Problem::new(
                    Reason::PermissionDenied,
                    format!("can't send signal {signal} to worker {id}: {error}"),
                )
                .with("detail", error),
                Some(nix::libc::EINVAL) => Problem::bad_request("signal", error),
                _ => Problem::new(
                    Reason::Internal,
                    format!("can't send signal {signal} to worker {id}: {error}"),
                )
                .with("detail", error),
            }
        })?;
    Ok(SignalWorkerResponse { delivered })
}
