//! Replacing a template's zygote.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::templates_client::TemplatesClient;

impl Client {
    /// Warms a new zygote, which takes over when it is ready; when it fails the old one stays.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn reload_template(&self, template: &str) -> Result<v1::Template, Error> {
        let request = v1::ReloadTemplateRequest {
            template: template.to_owned(),
        };
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let answer = rpc.reload_template(request).await;
        let answer = answer.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().template.unwrap_or_default())
    }
}
