//! Warms a template and tells how far it is.

use super::{Call, Streamed};
use futures_util::stream::{self, StreamExt as _};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{WarmTemplateRequest, WarmTemplateResponse, warm_template_response::Event};
use std::sync::Arc;
use tokio_stream::wrappers::WatchStream;

pub(super) async fn serve(
    call: Call<WarmTemplateRequest>,
) -> Result<Streamed<WarmTemplateResponse>, Problem> {
    let template = call.daemon.templates.get(&call.message.template)?;
    call.daemon.accepting()?;
    let event = |event| Ok(WarmTemplateResponse { event: Some(event) });
    let progress = WatchStream::from_changes(template.watch_progress());
    let progress = progress
        .filter_map(std::future::ready)
        .map(move |progress| event(Event::Progress(progress)));
    let daemon = Arc::clone(&call.daemon);
    let (finished, over) = tokio::sync::oneshot::channel::<()>();
    let warm = async move {
        let warm = template.warm(&daemon).await;
        // Progress ends with the warming, whatever came of it.
        drop(finished);
        warm?;
        event(Event::Warm(template.describe(&daemon)))
    };
    let progress = progress.take_until(over);
    // Both run together; the last message is the outcome.
    Ok(Box::pin(stream::select(progress, stream::once(warm))))
}
