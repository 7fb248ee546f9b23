//! Waiting for any worker's end.

use super::{Client, proto_duration};
use crate::error::Error;
use crate::exit::Exit;
use mpfork_proto::v1;
use mpfork_proto::v1::WorkerId;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use std::time::Duration;

impl Client {
    /// Waits for a worker's end, no longer than `timeout`; `None` when it still runs then. One that
    /// has ended is remembered for a while.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn wait_worker(
        &self,
        worker: WorkerId,
        timeout: Option<Duration>,
    ) -> Result<Option<Exit>, Error> {
        let request = v1::WaitWorkerRequest {
            worker: Some(worker),
            timeout: proto_duration("timeout", timeout)?,
        };
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.wait_worker(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().exit.map(Exit::new))
    }
}
