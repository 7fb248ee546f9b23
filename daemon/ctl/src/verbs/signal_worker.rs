//! `mpctl signal`.

use super::Call;
use crate::cli::SignalArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use serde_json::json;

pub(crate) fn call(call: &Call, args: &SignalArgs) -> Result<Ending, Failed> {
    let (worker, signal, group) = (args.worker, args.signal, args.group);
    let what = format!("signalling worker {worker}");
    let delivered = call.ask(&what, |client| async move {
        client.signal_worker(worker, signal, group).await
    })?;
    let answer = json!({
        "worker": worker.to_string(),
        "signal": signal,
        "group": group,
        "delivered": delivered,
    });
    call.output.answer(&answer, |_| String::new())?;
    if delivered {
        Ok(Ending::Code(0))
    } else {
        call.output
            .note(&format!("worker {worker} had ended already"));
        Ok(Ending::Code(1))
    }
}
