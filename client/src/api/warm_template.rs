//! Warming a template.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::templates_client::TemplatesClient;
use mpfork_proto::v1::warm_template_response::Event;
use tonic::Streaming;

/// A template that is being warmed. Dropping it does not stop that.
#[derive(Debug)]
pub struct Warming {
    events: Streaming<v1::WarmTemplateResponse>,
    client: Client,
}

impl Warming {
    /// Waits for the next piece of news: progress, and last the warm template. `None` after that.
    ///
    /// # Errors
    /// Why it can't be warmed, [`Error::ServerLost`].
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let message = self.events.message().await;
            match message.map_err(|status| self.client.error(&status))? {
                None => return Ok(None),
                Some(v1::WarmTemplateResponse { event: Some(event) }) => return Ok(Some(event)),
                Some(_) => {}
            }
        }
    }
}

impl Client {
    /// Launches a template's zygote, unless it is warm.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn warm_template(&self, template: &str) -> Result<Warming, Error> {
        let request = v1::WarmTemplateRequest {
            template: template.to_owned(),
        };
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let answer = rpc.warm_template(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(Warming {
            events: answer.into_inner(),
            client: self.clone(),
        })
    }
}
