//! `mpctl ps`.

use super::Call;
use crate::cli::PsArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::WorkerView;
use mpfork_proto::v1::ListWorkersRequest;
use std::time::SystemTime;

pub(crate) fn call(call: &Call, args: PsArgs) -> Result<Ending, Failed> {
    let request = ListWorkersRequest {
        ended: args.all,
        template: args.template,
        memory: args.memory,
    };
    let answer = call.ask("listing workers", |client| async move {
        client.list_workers(request).await
    })?;
    let now = SystemTime::now();
    let mut views: Vec<_> = answer
        .workers
        .into_iter()
        .map(|worker| WorkerView::new(worker, now))
        .collect();
    // Newest last, near the prompt.
    views.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
    if answer.omitted > 0 {
        let omitted = answer.omitted;
        call.output.note(&format!(
            "{omitted} more have ended, and are left out: the answer would be too large"
        ));
    }
    call.output.answer(&views, |views| {
        render::workers(views, args.memory, terminal_width())
    })
}

/// On a terminal lines are cut to its width; in a pipe they are whole.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}
