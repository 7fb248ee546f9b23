//! Ending the daemon.

use super::{Client, proto_duration};
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::admin_client::AdminClient;
use std::time::Duration;

impl Client {
    /// Ends the daemon in order, with this time between TERM and KILL for the workers. When it has
    /// ended, [`Client::ended`] returns.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn shutdown(&self, grace: Option<Duration>) -> Result<(), Error> {
        let request = v1::ShutdownRequest {
            grace: proto_duration("grace", grace)?,
        };
        let mut rpc = AdminClient::new(self.channel.clone());
        let answer = rpc.shutdown(request).await;
        answer.map_err(|status| self.error(&status)).map(drop)
    }

    /// Waits until the connection has ended, as it does with the daemon.
    pub async fn ended(&self) {
        self.connection.closed().await;
    }
}
