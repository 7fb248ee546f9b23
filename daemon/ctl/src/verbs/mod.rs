//! What mpctl does: one file for each verb of the API.

pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod drain;
pub(crate) mod get_status;
pub(crate) mod get_template;
pub(crate) mod list_templates;
pub(crate) mod list_workers;
pub(crate) mod read_logs;
pub(crate) mod reload_template;
pub(crate) mod remove_template;
pub(crate) mod run_worker;
pub(crate) mod set_log_filter;
pub(crate) mod shutdown;
pub(crate) mod signal_worker;
pub(crate) mod start_worker;
pub(crate) mod top;
pub(crate) mod wait_worker;
pub(crate) mod warm_template;
pub(crate) mod watch_events;

mod assignment;

use crate::failed::Failed;
use crate::output::Output;
use mpfork::Error;
use mpfork::api::{Client, block_on};
use std::path::PathBuf;

/// What every verb needs.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) output: Output,
}

impl Call {
    /// Connects to the daemon and asks it something; `what` is told when that fails.
    fn ask<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        what: &str,
        question: impl FnOnce(Client) -> F + Send,
    ) -> Result<T, Failed> {
        let asked = async {
            let client = Client::connect(self.socket.as_deref()).await?;
            question(client).await
        };
        block_on(asked).map_err(|error| Failed::call(what, error))
    }
}
