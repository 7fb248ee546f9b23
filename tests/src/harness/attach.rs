//! A client that is attached to a worker.

use super::TestClient;
use mpfork_proto::v1::attach_request::{Message, Start, StdinEnd};
use mpfork_proto::v1::attach_response::Event;
use mpfork_proto::v1::{self, Exit, Started, WorkerId, WorkerSpec};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// A worker whose streams are attached.
#[derive(Debug)]
pub struct Attached {
    /// What the daemon said first.
    pub started: Started,
    input: Option<mpsc::Sender<v1::AttachRequest>>,
    events: Streaming<v1::AttachResponse>,
}

/// All that came from a worker.
#[derive(Debug, Default)]
pub struct Everything {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// And to standard error.
    pub stderr: Vec<u8>,
    /// Its result.
    pub result: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

impl TestClient {
    /// Attaches by this first message.
    ///
    /// # Errors
    /// What the daemon says.
    ///
    /// # Panics
    /// When it says something else.
    pub async fn try_attach(&self, first: Message) -> Result<Attached, Status> {
        let (input, messages) = mpsc::channel(1);
        input.send(request(first)).await.unwrap();
        let mut workers = self.workers();
        let answer = workers.attach(ReceiverStream::new(messages)).await?;
        let mut events = answer.into_inner();
        let first = events.message().await?.and_then(|response| response.event);
        let Some(Event::Started(started)) = first else {
            panic!("not started: {first:?}");
        };
        if let Some(pidfd) = &started.pidfd {
            drop(self.connection.claim(pidfd).unwrap());
            mpfork_transport::acknowledge(&self.channel, &self.connection);
        }
        Ok(Attached {
            started,
            input: Some(input),
            events,
        })
    }

    /// Starts a worker and attaches to it.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn attach(&self, spec: WorkerSpec) -> Attached {
        let start = Start {
            spec: Some(spec),
            detached: false,
        };
        self.try_attach(Message::Start(start)).await.unwrap()
    }

    /// Attaches to a worker that is there.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn attach_to(&self, worker: WorkerId) -> Result<Attached, Status> {
        self.try_attach(Message::Worker(worker)).await
    }
}

/// A message of the client's.
#[must_use]
pub fn request(message: Message) -> v1::AttachRequest {
    v1::AttachRequest {
        message: Some(message),
    }
}

impl Attached {
    /// The worker's id.
    ///
    /// # Panics
    /// When the daemon did not tell it.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.started.worker.unwrap()
    }

    /// Sends a message, as soon as the one before it was taken.
    ///
    /// # Panics
    /// After the end of the messages.
    pub async fn send(&self, message: Message) {
        let sent = self.input.as_ref().unwrap().send(request(message)).await;
        sent.unwrap();
    }

    /// Sends bytes for standard input.
    pub async fn stdin(&self, bytes: &[u8]) {
        self.send(Message::Stdin(bytes.to_vec())).await;
    }

    /// Ends standard input by a message.
    pub async fn stdin_end(&self) {
        self.send(Message::StdinEnd(StdinEnd {})).await;
    }

    /// Ends the client's half of the call.
    pub fn half_close(&mut self) {
        self.input = None;
    }

    /// The sender of messages, to be used while others are read.
    ///
    /// # Panics
    /// After the end of the messages.
    pub fn take_input(&mut self) -> mpsc::Sender<v1::AttachRequest> {
        self.input.take().unwrap()
    }

    /// The next event; `None` at the end of the call.
    ///
    /// # Errors
    /// What the daemon says.
    pub async fn try_next(&mut self) -> Result<Option<Event>, Status> {
        Ok(self.events.message().await?.map(|next| next.event.unwrap()))
    }

    /// The next event.
    ///
    /// # Panics
    /// When there is none.
    pub async fn next(&mut self) -> Event {
        self.try_next().await.unwrap().unwrap()
    }

    /// Reads standard output until it has so many bytes.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn stdout(&mut self, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < count {
            match self.next().await {
                Event::Stdout(bytes) => read.extend(bytes),
                other => panic!("{other:?} after {read:?}"),
            }
        }
        read
    }

    /// Reads everything, in the order in which it must come.
    ///
    /// # Panics
    /// When it does not.
    pub async fn everything(&mut self) -> Everything {
        let mut all = Everything::default();
        loop {
            match self.next().await {
                Event::Stdout(bytes) => all.stdout.extend(bytes),
                Event::Stderr(bytes) => all.stderr.extend(bytes),
                Event::Result(bytes) => {
                    all.result.extend(bytes);
                    continue;
                }
                Event::Exited(exit) => {
                    all.exit = exit;
                    break;
                }
                Event::Started(_) => panic!("started twice"),
            }
            assert!(all.result.is_empty(), "results come after all output");
        }
        assert_eq!(self.try_next().await.unwrap(), None, "the exit is the last");
        all
    }
}
