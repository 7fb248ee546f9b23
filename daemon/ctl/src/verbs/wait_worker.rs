//! `mpctl wait`.

use super::Call;
use crate::cli::WaitArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::views::ExitView;
use mpfork::{Problem, Reason};
use serde_json::json;

pub(crate) fn call(call: &Call, args: &WaitArgs) -> Result<Ending, Failed> {
    let (worker, timeout) = (args.worker, args.timeout);
    let what = format!("waiting for worker {worker}");
    let exit = call.ask(&what, |client| async move {
        client.wait_worker(worker, timeout).await
    })?;
    let Some(exit) = exit else {
        let limit = humantime::format_duration(timeout.unwrap_or_default());
        let problem = Problem::new(
            Reason::DeadlineExceeded,
            format!("it still runs after {limit}"),
        );
        return Err(Failed::call(what, problem.with("what", "wait").into()));
    };
    let view = ExitView::new(exit.as_proto());
    let answer = json!({"worker": worker.to_string(), "exit": view});
    call.output
        .answer(&answer, |_| format!("{}\n", view.summary()))?;
    Ok(Ending::Code(Ending::of(&exit).code()))
}
