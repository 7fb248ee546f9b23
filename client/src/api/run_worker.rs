//! Starting a worker that this connection owns, and learning of its end from the same call.

use super::request::Prepared;
use super::{Client, Started, WorkerRequest};
use crate::error::Error;
use crate::exit::Exit;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_proto::v1::run_worker_response::Event;
use mpfork_transport::uncancelled;
use tonic::Streaming;

/// A worker that was started by [`Client::run_worker`]. Dropping it leaves the worker running.
#[derive(Debug)]
pub struct Running {
    /// The worker.
    pub started: Started,
    events: Streaming<v1::RunWorkerResponse>,
    client: Client,
}

impl Running {
    /// Waits for the worker's end. May be cancelled and called again until it has answered.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when the connection broke.
    pub async fn exited(&mut self) -> Result<Exit, Error> {
        loop {
            let event = self.events.message().await;
            match event.map_err(|status| self.client.error(&status))? {
                Some(v1::RunWorkerResponse {
                    event: Some(Event::Exited(exit)),
                }) => return Ok(Exit::new(exit)),
                Some(_) => {}
                None => {
                    return Err(Error::ServerLost {
                        socket: self.client.socket().to_owned(),
                        cause: "it told no exit".to_owned(),
                        asked: true,
                    });
                }
            }
        }
    }
}

impl Client {
    /// Starts a worker. Once the request is on its way, dropping the future does not take it back.
    ///
    /// # Errors
    /// What the daemon says; [`Error::ServerLost`] with `asked` set when the answer was lost: the
    /// same request may then be sent again to the same daemon.
    pub async fn run_worker(&self, request: &WorkerRequest) -> Result<Running, Error> {
        let reservation = self.reserve(request.descriptor_count()).await?;
        let (spec, purposes, descriptors) = request.prepare()?.into_parts();
        let client = self.clone();
        let call = async move {
            let queued = reservation.queue(descriptors);
            let queued = queued.map_err(|error| client.unsent(error))?;
            let spec = Prepared::named(spec, &purposes, &queued);
            let mut rpc = ForkServerClient::new(client.channel.clone());
            let request = v1::RunWorkerRequest { spec: Some(spec) };
            let answer = rpc.run_worker(request).await;
            let mut events = answer.map_err(|status| client.error(&status))?.into_inner();
            let first = events.message().await;
            let first = first.map_err(|status| client.error(&status))?;
            // The daemon has taken the descriptors off the connection.
            drop(queued);
            let Some(Event::Started(started)) = first.and_then(|response| response.event) else {
                let detail = "the daemon did not say what it started";
                return Err(Problem::new(Reason::Internal, detail).into());
            };
            let started = client.started(&started)?;
            Ok(Running {
                started,
                events,
                client,
            })
        };
        uncancelled(call).await.map_err(|_| self.aborted())?
    }
}
