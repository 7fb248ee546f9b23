//! What is kept of output and records, and what comes.

use super::{Call, Streamed};
use crate::daemon::{Daemon, Ending};
use crate::kept::Ring;
use futures_util::stream::{self, StreamExt as _};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ReadLogsRequest, ReadLogsResponse, read_logs_request::Source};
use std::sync::Arc;

pub(super) async fn serve(
    call: Call<ReadLogsRequest>,
) -> Result<Streamed<ReadLogsResponse>, Problem> {
    let daemon = &call.daemon;
    let source = call.message.source;
    let source = source.ok_or_else(|| Problem::bad_request("source", "none is given"))?;
    // The others have no end of their own before the daemon's.
    let ends = matches!(source, Source::Worker(_));
    let reader = Reader {
        ring: ring(daemon, source)?,
        at: 0,
        until: None,
    };
    let reader = Reader {
        until: (!call.message.follow).then(|| reader.ring.end()),
        ..reader
    };
    let chunks = stream::unfold(reader, |mut reader| async move {
        reader.next().await.map(|chunk| (Ok(chunk), reader))
    });
    if ends {
        return Ok(Box::pin(chunks));
    }
    let mut ending = daemon.ending.subscribe();
    let ended = async move {
        let _ = ending.wait_for(|ending| *ending != Ending::No).await;
    };
    Ok(Box::pin(chunks.take_until(ended)))
}

fn ring(daemon: &Daemon, source: Source) -> Result<Arc<Ring>, Problem> {
    match source {
        Source::Template(name) => Ok(Arc::clone(&daemon.templates.get(&name)?.output)),
        Source::Records(_) => Ok(crate::logging::records()),
        Source::Worker(id) => {
            let worker = daemon.workers.get(Some(id))?;
            let streams = worker.streams.as_ref();
            let kept = streams.and_then(|streams| streams.kept());
            kept.ok_or_else(|| {
                let why = if streams.is_some_and(|streams| streams.dropped()) {
                    "limits.kept_output was 0 when it was started"
                } else {
                    "its streams go elsewhere"
                };
                let message = format!("nothing is kept of what worker {id} writes: {why}");
                Problem::new(Reason::NotKept, message).with("worker", id)
            })
        }
    }
}

/// A client that reads a ring.
struct Reader {
    ring: Arc<Ring>,
    at: u64,
    /// Where to end, unless it is followed.
    until: Option<u64>,
}

impl Reader {
    async fn next(&mut self) -> Option<ReadLogsResponse> {
        loop {
            // Looked at first: what is written before it is closed is read.
            let closed = self.ring.is_closed();
            if self.until.is_some_and(|until| self.at >= until) {
                return None;
            }
            let chunk = self.ring.read(self.at);
            if chunk.dropped > 0 || !chunk.data.is_empty() {
                self.at = chunk.next;
                return Some(ReadLogsResponse {
                    dropped: chunk.dropped,
                    data: chunk.data,
                });
            }
            if closed {
                return None;
            }
            self.ring.beyond(self.at).await;
        }
    }
}
