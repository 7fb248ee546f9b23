//! What the daemon logs.

use super::{Client, proto_duration};
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::admin_client::AdminClient;
use std::time::Duration;

impl Client {
    /// Changes what the daemon logs: for good, or for a while. An empty filter is the one it was
    /// started with.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn set_log_filter(
        &self,
        filter: &str,
        duration: Option<Duration>,
    ) -> Result<v1::LogFilter, Error> {
        let request = v1::SetLogFilterRequest {
            filter: filter.to_owned(),
            duration: proto_duration("duration", duration)?,
        };
        let mut rpc = AdminClient::new(self.channel.clone());
        let answer = rpc.set_log_filter(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().log_filter.unwrap_or_default())
    }
}
