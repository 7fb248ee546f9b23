//! What happens to templates and workers.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::events_client::EventsClient;
use mpfork_proto::v1::watch_events_response::What;
use tonic::Streaming;

/// Events, as they happen.
#[derive(Debug)]
pub struct Events {
    events: Streaming<v1::WatchEventsResponse>,
    client: Client,
}

impl Events {
    /// Waits for the next event, or the news that some can't be told any more. `None` when there will
    /// be no more: the daemon has ended in order, or only what it remembered was asked for.
    ///
    /// # Errors
    /// [`Error::ServerLost`].
    pub async fn next(&mut self) -> Result<Option<What>, Error> {
        loop {
            let message = self.events.message().await;
            match message.map_err(|status| self.client.error(&status))? {
                None => return Ok(None),
                Some(v1::WatchEventsResponse { what: Some(what) }) => return Ok(Some(what)),
                Some(_) => {}
            }
        }
    }
}

impl Client {
    /// Watches events: those after one that was seen before, or those from now on.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn watch_events(&self, request: v1::WatchEventsRequest) -> Result<Events, Error> {
        let mut rpc = EventsClient::new(self.channel.clone());
        let answer = rpc.watch_events(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(Events {
            events: answer.into_inner(),
            client: self.clone(),
        })
    }
}
