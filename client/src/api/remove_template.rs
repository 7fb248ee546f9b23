//! Forgetting a registered template.

use super::Client;
use crate::error::Error;
use mpfork_proto::v1;
use mpfork_proto::v1::templates_client::TemplatesClient;

impl Client {
    /// Forgets a registered template; its zygote leaves when its workers have ended.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn remove_template(&self, template: &str) -> Result<(), Error> {
        let request = v1::RemoveTemplateRequest {
            template: template.to_owned(),
        };
        let mut rpc = TemplatesClient::new(self.channel.clone());
        let answer = rpc.remove_template(request).await;
        answer.map_err(|status| self.error(&status)).map(drop)
    }
}
