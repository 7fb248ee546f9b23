//! Looking at one worker.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::WorkerId;
use mpfork_proto::v1::fork_server_client::ForkServerClient;

impl Client {
    /// What is known of a worker; its memory is read only when asked for, since that costs.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn get_worker(&self, worker: WorkerId, memory: bool) -> Result<v1::Worker, Error> {
        let request = v1::GetWorkerRequest {
            worker: Some(worker),
            memory,
        };
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.get_worker(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().worker.unwrap_or_default())
    }
}
