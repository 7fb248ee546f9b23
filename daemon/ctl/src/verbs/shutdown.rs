//! `mpctl shutdown`.

use super::Call;
use crate::cli::ShutdownArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use serde_json::json;

pub(crate) fn call(call: &Call, args: &ShutdownArgs) -> Result<Ending, Failed> {
    let (grace, what) = (args.grace, "ending the daemon");
    let socket = call.ask(what, |client| async move {
        client.shutdown(grace).await?;
        // It hangs up when everything it ran has ended.
        client.ended().await;
        Ok(client.socket().display().to_string())
    })?;
    let answer = json!({"socket": socket, "shut_down": true});
    call.output.answer(&answer, |_| String::new())
}
