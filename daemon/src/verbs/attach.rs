//! A worker's standard streams over a call.

use super::{Call, Streamed, start_worker};
use crate::worker::Worker;
use crate::worker::stdio::Session;
use crate::worker::streams::{Attachment, Refused};
use futures_util::stream::{self, StreamExt as _};
use mpfork_proto::Message as _;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::attach_request::{Message, Start};
use mpfork_proto::v1::attach_response::Event;
use mpfork_proto::v1::{AttachRequest, AttachResponse, Started};
use std::sync::Arc;
use std::time::Duration;
use tonic::Streaming;

/// How long a client may take to say what it wants to be attached to.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn serve(
    call: Call<Streaming<AttachRequest>>,
) -> Result<Streamed<AttachResponse>, Problem> {
    let Call {
        daemon,
        connection,
        deadline,
        held,
        message: mut messages,
    } = call;
    let (worker, attachment, started) = match first(&mut messages).await? {
        Message::Start(message) => {
            let call = Call {
                daemon,
                connection,
                deadline,
                held,
                message,
            };
            start(call).await?
        }
        Message::Worker(id) => {
            let worker = daemon.workers.get(Some(id))?;
            let attachment = attachment(&worker)?;
            let attachment = attachment.ok_or_else(|| {
                let detail = "it was not started with streams to attach to";
                not_attachable(&worker, detail)
            })?;
            let started = Started {
                worker: Some(worker.id),
                pid: worker.pid,
                pidfd: None,
                way: worker.way.into(),
            };
            (worker, Some(attachment), started)
        }
        Message::Stdin(_) | Message::StdinEnd(_) => {
            return Err(Problem::bad_request(
                "message",
                "the first one says what to attach to",
            ));
        }
    };
    let session = Session::new(worker, attachment, messages);
    let response = |event| AttachResponse { event: Some(event) };
    let started = stream::iter([Ok(response(Event::Started(started)))]);
    let events = stream::unfold(session, move |mut session| async move {
        let event = session.next().await?;
        Some((event.map(response).map_err(Into::into), session))
    });
    Ok(Box::pin(started.chain(events)))
}

async fn first(messages: &mut Streaming<AttachRequest>) -> Result<Message, Problem> {
    let nothing = || Problem::bad_request("message", "none came");
    match tokio::time::timeout(PATIENCE, messages.message()).await {
        Ok(Ok(Some(first))) => first.message.ok_or_else(nothing),
        Ok(Ok(None)) => Err(nothing()),
        Ok(Err(status)) => Err(Problem::bad_request("message", status.message())),
        Err(_) => Err(Problem::new(
            Reason::DeadlineExceeded,
            "no message came that says what to attach to",
        )
        .with("what", "the first message")),
    }
}

async fn start(
    mut call: Call<Start>,
) -> Result<(Arc<Worker>, Option<Attachment>, Started), Problem> {
    // The call goes on; the start is held for as long as it takes.
    let bytes = call.message.encoded_len();
    let held = call.held.map(|held| held.also(bytes, &call.daemon));
    call.held = held.transpose()?;
    let (daemon, connection) = (Arc::clone(&call.daemon), call.connection.clone());
    let detached = call.message.detached;
    let call = call.with(|start| start.spec);
    let (worker, pidfd) = start_worker::from_spec(call, detached, true).await?;
    // Before the pidfd is on its way: what is sent must be named. A repeated request may find that
    // everything was passed on already; it is told how the worker ended.
    let attachment = attachment(&worker)?;
    let started = start_worker::told(&daemon, &connection, &worker, pidfd).await?;
    Ok((worker, attachment, started))
}

/// `None` where the worker has nothing to be attached to.
fn attachment(worker: &Worker) -> Result<Option<Attachment>, Problem> {
    let Some(streams) = &worker.streams else {
        return Ok(None);
    };
    streams.attach().map_err(|refused| match refused {
        Refused::Attached => Problem::new(
            Reason::AlreadyAttached,
            format!("somebody else is attached to worker {}", worker.id),
        )
        .with("worker", worker.id),
        Refused::Closed => not_attachable(worker, "it ended too long ago"),
    })
}

fn not_attachable(worker: &Worker, detail: &str) -> Problem {
    Problem::new(
        Reason::NotAttachable,
        format!("can't attach to worker {}: {detail}", worker.id),
    )
    .with("worker", worker.id)
    .with("detail", detail)
}
