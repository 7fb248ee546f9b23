//! The daemon's status.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::admin_client::AdminClient;

impl Client {
    /// The daemon's status.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn get_status(&self) -> Result<v1::GetStatusResponse, Error> {
        let mut rpc = AdminClient::new(self.channel.clone());
        let answer = rpc.get_status(v1::GetStatusRequest {}).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner())
    }
}
