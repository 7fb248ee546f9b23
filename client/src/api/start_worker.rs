//! Starting a worker without waiting for its end on the same call.

use super::request::Prepared;
use super::{Client, WorkerRequest};
use crate::error::Error;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_transport::{acknowledge, uncancelled};
use std::os::fd::OwnedFd;

use mpfork_proto::v1::WorkerId;

/// A worker that was started.
#[derive(Debug)]
pub struct Started {
    /// Its id, never used again.
    pub worker: WorkerId,
    /// Its pid as the daemon sees it: to show.
    pub pid: i32,
    /// Its pidfd, when the connection carries descriptors.
    pub pidfd: Option<OwnedFd>,
    /// How it was made.
    pub way: v1::StartWay,
}

impl Client {
    /// Starts a worker that is owned by this connection, or by none: then it lives on when the
    /// connection ends.
    ///
    /// # Errors
    /// As [`Client::run_worker`].
    pub async fn start_worker(
        &self,
        request: &WorkerRequest,
        detached: bool,
    ) -> Result<Started, Error> {
        if !self.carries_descriptors() {
            return self.start_without_descriptors(request, detached).await;
        }
        let reservation = self.reserve(request.descriptor_count()).await?;
        let (spec, purposes, descriptors) = request.prepare()?.into_parts();
        let client = self.clone();
        let call = async move {
            let queued = reservation.queue(descriptors);
            let queued = queued.map_err(|error| client.unsent(error))?;
            let spec = Prepared::named(spec, &purposes, &queued);
            let mut rpc = ForkServerClient::new(client.channel.clone());
            let request = v1::StartWorkerRequest {
                spec: Some(spec),
                detached,
            };
            let answer = rpc.start_worker(request).await;
            let answer = answer.map_err(|status| client.error(&status))?;
            drop(queued);
            client.started(&answer.into_inner().started.unwrap_or_default())
        };
        uncancelled(call).await.map_err(|_| self.aborted())?
    }

    /// Only streams that are nobody's here can be had.
    async fn start_without_descriptors(
        &self,
        request: &WorkerRequest,
        detached: bool,
    ) -> Result<Started, Error> {
        if request.state.local_ends()?.iter().any(Option::is_some) {
            return Err(Error::Unsupported {
                what: "giving a worker streams it keeps".to_owned(),
                why: "descriptors do not pass on this connection to mpforkd",
            });
        }
        let request = v1::StartWorkerRequest {
            spec: Some(request.without_descriptors()?),
            detached,
        };
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.start_worker(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        self.started(&answer.into_inner().started.unwrap_or_default())
    }

    /// Takes over what the daemon says it started.
    pub(super) fn started(&self, started: &v1::Started) -> Result<Started, Error> {
        let pidfd = match &started.pidfd {
            None => None,
            Some(reference) => {
                let pidfd = self.connection.claim(reference)?;
                acknowledge(&self.channel, &self.connection);
                Some(pidfd)
            }
        };
        let worker = started.worker.ok_or_else(|| {
            Problem::new(
                Reason::Internal,
                "the daemon did not name the worker it started",
            )
        })?;
        Ok(Started {
            worker,
            pid: started.pid,
            pidfd,
            way: started.way(),
        })
    }
}
