//! One client attached to one worker: what it sends goes in, what the worker writes comes out, no
//! faster than either takes it.

use super::Worker;
use super::streams::{Attachment, waiting};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::AttachRequest;
use mpfork_proto::v1::attach_request::Message;
use mpfork_proto::v1::attach_response::Event;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic::Streaming;

/// The most bytes of one answer.
const CHUNK: usize = 64 << 10;

/// From the start to the exit.
#[derive(Debug)]
pub(crate) struct Session {
    worker: Arc<Worker>,
    attachment: Option<Attachment>,
    phase: Phase,
    /// A message that makes no sense where it came.
    wrong: mpsc::Receiver<Problem>,
    feed: AbortHandle,
}

#[derive(Debug)]
enum Phase {
    Running,
    /// The worker has ended; so many bytes of it are in the pipes of output and error.
    Draining([usize; 2]),
    /// So much of the result was sent.
    Result(u64),
    Over,
}

/// What to do next, while the worker runs.
enum Turn {
    Ready(usize),
    Ended,
    Wrong(Problem),
}

impl Session {
    pub(crate) fn new(
        worker: Arc<Worker>,
        mut attachment: Option<Attachment>,
        messages: Streaming<AttachRequest>,
    ) -> Self {
        let stdin = attachment.as_mut().and_then(Attachment::take_stdin);
        let (tell, wrong) = mpsc::channel(1);
        let feed = tokio::spawn(feed(messages, stdin, tell)).abort_handle();
        Self {
            worker,
            attachment,
            phase: Phase::Running,
            wrong,
            feed,
        }
    }

    /// The next thing to tell the client; `None` after the exit, or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Event, Problem>> {
        loop {
            match &mut self.phase {
                Phase::Running => match self.turn().await {
                    Turn::Ready(which) => {
                        if let Some(event) = self.read(which) {
                            return Some(Ok(event));
                        }
                    }
                    Turn::Ended => {
                        let left = [0, 1].map(|which| self.output(which).map_or(0, waiting));
                        self.phase = Phase::Draining(left);
                    }
                    Turn::Wrong(problem) => {
                        self.phase = Phase::Over;
                        return Some(Err(problem));
                    }
                },
                Phase::Draining(left) => {
                    let Some(which) = left.iter().position(|left| *left > 0) else {
                        self.phase = Phase::Result(0);
                        continue;
                    };
                    let wanted = left[which].min(CHUNK);
                    let bytes = self.output(which).and_then(|pipe| drain(pipe, wanted));
                    if let Phase::Draining(left) = &mut self.phase {
                        let taken = bytes.as_ref().map_or(usize::MAX, Vec::len);
                        left[which] = left[which].saturating_sub(taken);
                    }
                    if let Some(bytes) = bytes {
                        return Some(Ok(event(which, bytes)));
                    }
                }
                Phase::Result(sent) => {
                    let from = *sent;
                    match self.result(from) {
                        Ok(Some(part)) => {
                            self.phase = Phase::Result(from + part.len() as u64);
                            return Some(Ok(Event::Result(part)));
                        }
                        Ok(None) => {}
                        // A part of it must not pass for all.
                        Err(problem) => {
                            self.phase = Phase::Over;
                            return Some(Err(problem));
                        }
                    }
                    self.phase = Phase::Over;
                    if let Some(attachment) = &mut self.attachment {
                        attachment.delivered();
                    }
                    let exit = self.worker.exit()?;
                    return Some(Ok(Event::Exited((*exit).clone())));
                }
                Phase::Over => return None,
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let [stdout, stderr] = [0, 1].map(|which| {
            let outputs = self.attachment.as_ref().map(|a| &a.outputs);
            outputs.and_then(|outputs| outputs[which].clone())
        });
        tokio::select! {
            () = readable(stdout) => Turn::Ready(0),
            () = readable(stderr) => Turn::Ready(1),
            _ = self.worker.ended() => Turn::Ended,
            Some(problem) = self.wrong.recv() => Turn::Wrong(problem),
        }
    }

    /// Reads what is there; nothing at the end, or when there was nothing after all.
    fn read(&mut self, which: usize) -> Option<Event> {
        let pipe = self.output(which)?;
        let mut bytes = vec![0; waiting(pipe).clamp(1, CHUNK)];
        match pipe.try_read(&mut bytes) {
            Ok(count) if count > 0 => {
                bytes.truncate(count);
                return Some(event(which, bytes));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => {
                if let Some(attachment) = &mut self.attachment {
                    attachment.outputs[which] = None;
                }
            }
        }
        None
    }

    fn output(&self, which: usize) -> Option<&pipe::Receiver> {
        self.attachment.as_ref()?.outputs[which].as_deref()
    }

    /// The part of the result from a place on; `None` at its end, or when there is none.
    fn result(&self, from: u64) -> Result<Option<Vec<u8>>, Problem> {
        let outcome = self.attachment.as_ref().and_then(Attachment::outcome);
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        match outcome.part(from, CHUNK) {
            Ok(part) => Ok(Some(part).filter(|part| !part.is_empty())),
            Err(error) => {
                let worker = self.worker.id;
                let text = format!("the result of worker {worker} can't be read: {error}");
                Err(Problem::new(Reason::WorkerLost, text)
                    .with("worker", worker)
                    .with("message", error))
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The worker's standard input ends with the client.
        self.feed.abort();
    }
}

fn event(which: usize, bytes: Vec<u8>) -> Event {
    match which {
        0 => Event::Stdout(bytes),
        _ => Event::Stderr(bytes),
    }
}

async fn readable(pipe: Option<Arc<pipe::Receiver>>) {
    match pipe {
        // Where waiting fails, reading tells why.
        Some(pipe) => drop(pipe.readable().await),
        None => std::future::pending().await,
    }
}

/// Reads what is in a pipe, whether its readiness was noticed or not.
fn drain(pipe: &pipe::Receiver, wanted: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; wanted];
    match rustix::io::read(pipe, &mut bytes) {
        Ok(count) if count > 0 => {
            bytes.truncate(count);
            Some(bytes)
        }
        _ => None,
    }
}

/// Passes a client's messages on to the worker's standard input. It takes the next message when the
/// pipe has taken the one before: a worker that does not read makes its client wait.
async fn feed(
    mut messages: Streaming<AttachRequest>,
    mut stdin: Option<pipe::Sender>,
    wrong: mpsc::Sender<Problem>,
) {
    while let Ok(Some(request)) = messages.message().await {
        match request.message {
            Some(Message::Stdin(bytes)) => {
                // A worker that has closed its input wants no more of it.
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(&bytes).await.is_err()
                {
                    stdin = None;
                }
            }
            Some(Message::StdinEnd(_)) => stdin = None,
            Some(Message::Start(_) | Message::Worker(_)) => {
                let problem = Problem::bad_request("message", "only the first one may be this");
                let _ = wrong.send(problem).await;
                return;
            }
            None => {}
        }
    }
}
