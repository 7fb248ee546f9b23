//! Looking at all workers.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::fork_server_client::ForkServerClient;

impl Client {
    /// The workers, as the request narrows them, and how many that ended first were left out as the
    /// answer would be too large.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn list_workers(
        &self,
        request: v1::ListWorkersRequest,
    ) -> Result<v1::ListWorkersResponse, Error> {
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.list_workers(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner())
    }
}
