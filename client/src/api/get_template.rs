//! Looking at one template.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::templates_client::TemplatesClient;

impl Client {
    /// What is known of a template.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn get_template(&self, template: &str) -> Result<v1::Template, Error> {
        let request = v1::GetTemplateRequest {
            template: template.to_owned(),
        };
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let answer = rpc.get_template(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().template.unwrap_or_default())
    }
}
