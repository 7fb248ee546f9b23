//! Signalling any worker.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::WorkerId;
use mpfork_proto::v1::fork_server_client::ForkServerClient;

impl Client {
    /// Sends a signal to a worker, or to its whole process group; false when it had ended already.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn signal_worker(
        &self,
        worker: WorkerId,
        signal: i32,
        group: bool,
    ) -> Result<bool, Error> {
        let request = v1::SignalWorkerRequest {
            worker: Some(worker),
            signal,
            group,
        };
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.signal_worker(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().delivered)
    }
}
