//! A worker's standard streams over a call, where descriptors do not pass.

use super::{Client, Started, WorkerRequest};
use crate::error::Error;
use crate::exit::Exit;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_proto::v1::attach_request::{Message, Start, StdinEnd};
use mpfork_proto::v1::attach_response::Event;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use mpfork_proto::v1::WorkerId;

/// The most bytes sent at once.
const CHUNK: usize = 64 << 10;

/// A worker whose standard streams come and go over a call. When it is dropped the worker's input ends;
/// the worker goes on, and waits when it has filled the pipe of its output.
#[derive(Debug)]
pub struct Attached {
    /// The worker.
    pub started: Started,
    input: Option<Input>,
    events: Streaming<v1::AttachResponse>,
    client: Client,
}

/// What comes from a worker.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// It wrote this to its standard output.
    Stdout(Vec<u8>),
    /// It wrote this to its standard error.
    Stderr(Vec<u8>),
    /// A part of its result. All parts come after its end.
    Result(Vec<u8>),
    /// It has ended, and all it wrote has come.
    Exited(Box<Exit>),
}

/// A worker's standard input. When it is dropped that ends.
#[derive(Debug)]
pub struct Input(mpsc::Sender<v1::AttachRequest>);

impl Input {
    /// Sends bytes, as fast as the worker takes them. False: nobody takes any more.
    pub async fn send(&self, bytes: &[u8]) -> bool {
        for chunk in bytes.chunks(CHUNK) {
            let message = message(Message::Stdin(chunk.to_vec()));
            if self.0.send(message).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Ends the worker's standard input.
    pub async fn end(self) {
        // Nobody is left to be told when this fails.
        let _ = self.0.send(message(Message::StdinEnd(StdinEnd {}))).await;
    }
}

impl Attached {
    /// Takes the worker's standard input, once. What is not taken ends with this object.
    pub fn take_input(&mut self) -> Option<Input> {
        self.input.take()
    }

    /// Waits for what comes next: the exit is the last. May be cancelled and called again.
    ///
    /// # Errors
    /// What the daemon says; [`Error::ServerLost`] when the connection broke.
    pub async fn next(&mut self) -> Result<Output, Error> {
        loop {
            let event = self.events.message().await;
            let event = event.map_err(|status| self.client.error(&status))?;
            let Some(event) = event else {
                return Err(Error::ServerLost {
                    socket: self.client.socket().to_owned(),
                    cause: "it told no exit".to_owned(),
                    asked: true,
                });
            };
            match event.event {
                Some(Event::Stdout(bytes)) => return Ok(Output::Stdout(bytes)),
                Some(Event::Stderr(bytes)) => return Ok(Output::Stderr(bytes)),
                Some(Event::Result(bytes)) => return Ok(Output::Result(bytes)),
                Some(Event::Exited(exit)) => return Ok(Output::Exited(Box::new(Exit::new(exit)))),
                Some(Event::Started(_)) | None => {}
            }
        }
    }
}

fn message(message: Message) -> v1::AttachRequest {
    v1::AttachRequest {
        message: Some(message),
    }
}

impl Client {
    /// Starts a worker and attaches to it. Its standard streams are those the request leaves open: what
    /// would travel as a descriptor can't be in it, but for a working directory, which goes by its path.
    ///
    /// # Errors
    /// What the daemon says; [`Error::Unsupported`] for what takes descriptors;
    /// [`Error::ServerLost`] with `asked` set when the answer was lost.
    pub async fn attach(&self, request: &WorkerRequest, detached: bool) -> Result<Attached, Error> {
        let spec = Some(request.without_descriptors()?);
        self.attached(Message::Start(Start { spec, detached }))
            .await
    }

    /// Attaches to a worker that was started with attached streams.
    ///
    /// # Errors
    /// What the daemon says, [`Error::ServerLost`].
    pub async fn attach_worker(&self, worker: WorkerId) -> Result<Attached, Error> {
        self.attached(Message::Worker(worker)).await
    }

    async fn attached(&self, first: Message) -> Result<Attached, Error> {
        let (input, messages) = mpsc::channel(1);
        // There is room for one.
        let _ = input.try_send(message(first));
        let mut rpc = ForkServerClient::new(self.channel.clone());
        let answer = rpc.attach(ReceiverStream::new(messages)).await;
        let mut events = answer.map_err(|status| self.error(&status))?.into_inner();
        let first = events.message().await;
        let first = first.map_err(|status| self.error(&status))?;
        let Some(Event::Started(started)) = first.and_then(|response| response.event) else {
            let detail = "the daemon did not say what it started";
            return Err(Problem::new(Reason::Internal, detail).into());
        };
        Ok(Attached {
            started: self.started(&started)?,
            input: Some(Input(input)),
            events,
            client: self.clone(),
        })
    }
}
