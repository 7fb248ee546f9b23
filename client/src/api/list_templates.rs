//! Looking at all templates.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::templates_client::TemplatesClient;

impl Client {
    /// The templates, configured and registered.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn list_templates(&self) -> Result<Vec<v1::Template>, Error> {
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let answer = rpc.list_templates(v1::ListTemplatesRequest {}).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().templates)
    }
}
