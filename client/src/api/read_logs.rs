//! Reading what the daemon keeps of output and records.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::logs_client::LogsClient;
use tonic::Streaming;

pub use mpfork_proto::v1::read_logs_request::Source as LogSource;

/// What is kept, and with `follow` what comes.
#[derive(Debug)]
pub struct Logs {
    chunks: Streaming<v1::ReadLogsResponse>,
    client: Client,
}

impl Logs {
    /// Waits for the next part; `None` at the end.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when the connection broke.
    pub async fn next(&mut self) -> Result<Option<v1::ReadLogsResponse>, Error> {
        let chunk = self.chunks.message().await;
        chunk.map_err(|status| self.client.error(&status))
    }
}

impl Client {
    /// Reads what is kept, oldest first; with `follow` it goes on with what comes.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn read_logs(&self, source: LogSource, follow: bool) -> Result<Logs, Error> {
        let request = v1::ReadLogsRequest {
            source: Some(source),
            follow,
        };
        let mut rpc = LogsClient::new(self.channel.clone());
        let answer = rpc.read_logs(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(Logs {
            chunks: answer.into_inner(),
            client: self.clone(),
        })
    }
}
