//! Draining the daemon.

use super::{Client, proto_duration};
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::admin_client::AdminClient;
use std::time::Duration;
use tonic::Streaming;

/// How the daemon is to be drained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainRequest {
    /// Workers that still run after this long are ended; `None`: they may run on.
    pub deadline: Option<Duration>,
    /// Between TERM and KILL then; the daemon's default when `None`.
    pub grace: Option<Duration>,
    /// The daemon ends when it is drained.
    pub exit: bool,
}

/// A daemon that is being drained. Dropping it does not stop that.
#[derive(Debug)]
pub struct Draining {
    news: Streaming<v1::DrainResponse>,
    client: Client,
}

impl Draining {
    /// Waits for news: how many workers are left, at once and whenever that changes, and last that
    /// there are none, or that the drain was undone. `None` after that.
    ///
    /// # Errors
    /// [`Error::ServerLost`].
    pub async fn next(&mut self) -> Result<Option<v1::DrainResponse>, Error> {
        let news = self.news.message().await;
        news.map_err(|status| self.client.error(&status))
    }
}

impl Client {
    /// Makes the daemon take no more starts, and lets what runs go on to its end.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn drain(&self, request: DrainRequest) -> Result<Draining, Error> {
        self.call_drain(v1::DrainRequest {
            deadline: proto_duration("deadline", request.deadline)?,
            grace: proto_duration("grace", request.grace)?,
            exit: request.exit,
            undo: false,
        })
        .await
    }

    /// Makes the daemon take starts again.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn undo_drain(&self) -> Result<(), Error> {
        let request = v1::DrainRequest {
            undo: true,
            ..v1::DrainRequest::default()
        };
        self.call_drain(request).await?.next().await.map(drop)
    }

    async fn call_drain(&self, request: v1::DrainRequest) -> Result<Draining, Error> {
        let mut rpc = AdminClient::new(self.channel.clone());
        let answer = rpc.drain(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(Draining {
            news: answer.into_inner(),
            client: self.clone(),
        })
    }
}
