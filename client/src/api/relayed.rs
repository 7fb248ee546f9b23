//! Workers over a connection without descriptors, as if there were some: their streams are relayed from
//! and to descriptors of this process, their results written to the caller's channel.

use super::attach::{Attached, Input, Output};
use super::pump::{read_on_a_thread, write_on_a_thread};
use super::{Client, StartState, Started, Task, WorkerRequest};
use crate::error::Error;
use crate::exit::Exit;
use crate::runtime::State;
use crate::standard;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::WorkerId;
use mpfork_transport::uncancelled;
use mpfork_zygote::payload;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// How often a start is sent again, and after what pause.
const AGAIN: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// How a worker ended, or why that is not known. `None` until then.
type Told = Option<Result<Exit, Arc<str>>>;

/// A worker that was started by [`Client::run_relayed`]. Dropping it leaves the worker running, and its
/// streams relayed.
#[derive(Debug)]
pub struct Relayed {
    /// The worker.
    pub started: Started,
    told: watch::Receiver<Told>,
    client: Client,
    /// Hangs up when the worker has ended and all its output has been written.
    sentinel: PipeReader,
}

impl Relayed {
    /// Waits for the worker's end, after which all it has written has arrived. May be cancelled and
    /// called again.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when the connection broke.
    pub async fn exited(&self) -> Result<Exit, Error> {
        let lost = |cause: String| Error::ServerLost {
            socket: self.client.socket().to_owned(),
            cause,
            asked: true,
        };
        let mut told = self.told.clone();
        match told.wait_for(Option::is_some).await {
            Ok(told) => match &*told {
                Some(Ok(exit)) => Ok(exit.clone()),
                Some(Err(why)) => Err(lost(why.to_string())),
                None => Err(lost("it told no exit".to_owned())),
            },
            Err(_) => Err(lost("what relayed its streams was shut down".to_owned())),
        }
    }

    /// Readable once the worker has ended.
    pub(crate) fn sentinel(&self) -> BorrowedFd<'_> {
        self.sentinel.as_fd()
    }
}

impl Client {
    /// Starts a worker where descriptors do not pass. Its standard streams are relayed by threads of
    /// this process from and to those that the request names; input that is only inherited is the
    /// null device. A function's result arrives in its channel. Other descriptors, and arguments of
    /// more than some megabytes, can't be had. Once the request is on its way, dropping the future does
    /// not take it back.
    ///
    /// # Errors
    /// As [`Client::attach`].
    pub async fn run_relayed(
        &self,
        request: &WorkerRequest,
        detached: bool,
    ) -> Result<Relayed, Error> {
        let (client, request) = (self.clone(), request.clone());
        let started = async move { client.run_uncancelled(&request, detached).await };
        uncancelled(started).await.map_err(|_| self.aborted())?
    }

    async fn run_uncancelled(
        &self,
        request: &WorkerRequest,
        detached: bool,
    ) -> Result<Relayed, Error> {
        let ends = request.state.local_ends()?;
        let channel = match &request.task {
            Task::Function { channel, .. } => channel.clone(),
            Task::Command { .. } | Task::Main { .. } => None,
        };
        // A connection of its own: streams nobody reads hold up no other call.
        let client = Self::connect(Some(self.socket())).await?;
        if client.instance() != self.instance() {
            return Err(Error::ServerLost {
                socket: self.socket().to_owned(),
                cause: "another mpforkd has taken its place".to_owned(),
                asked: false,
            });
        }
        let attached = client.attach_again(request, detached).await?;
        client.relayed(attached, ends, channel)
    }

    /// Attaches to a worker and relays its streams from and to this process's own.
    ///
    /// # Errors
    /// As [`Client::attach_worker`].
    pub async fn attach_relayed(&self, worker: WorkerId) -> Result<Relayed, Error> {
        let mut state = StartState::default();
        state.own_streams();
        let ends = state.local_ends()?;
        let attached = self.attach_worker(worker).await?;
        self.relayed(attached, ends, None)
    }

    /// A start whose answer was lost may be sent again before the daemon has noticed that nobody is
    /// attached any more.
    async fn attach_again(
        &self,
        request: &WorkerRequest,
        detached: bool,
    ) -> Result<Attached, Error> {
        let mut left = AGAIN;
        loop {
            match self.attach(request, detached).await {
                Err(error) if left > 0 && error.reason() == Some(Reason::AlreadyAttached) => {
                    left -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                attached => return attached,
            }
        }
    }

    fn relayed(
        &self,
        mut attached: Attached,
        [stdin, stdout, stderr]: [Option<OwnedFd>; 3],
        channel: Option<Arc<OwnedFd>>,
    ) -> Result<Relayed, Error> {
        let system = |error| Error::system("relaying a worker's streams", error);
        let _held = standard::hold();
        let (sentinel, ends) = std::io::pipe().map_err(system)?;
        let started = Started {
            worker: attached.started.worker,
            pid: attached.started.pid,
            pidfd: attached.started.pidfd.take(),
        };
        let (tell, told) = watch::channel(None);
        let input = attached.take_input().zip(stdin);
        if let Some((input, from)) = input {
            let (stop, stopped) = std::io::pipe().map_err(system)?;
            let bytes = read_on_a_thread(from, stop).map_err(system)?;
            // Ends with the worker: nobody takes any more then.
            tokio::spawn(feed(bytes, input, stopped, told.clone()));
        }
        let (write, written) = write_on_a_thread([stdout, stderr]).map_err(system)?;
        tokio::spawn(async move {
            let outcome = relay(&mut attached, write, channel).await;
            // All that came has been written when its thread has ended.
            let _ = written.await;
            let outcome = outcome.map_err(|error| Arc::from(error.to_string()));
            // Whoever was told finds the sentinel readable.
            drop(ends);
            tell.send_replace(Some(outcome));
        });
        drive(&told).map_err(system)?;
        Ok(Relayed {
            started,
            told,
            client: self.clone(),
            sentinel,
        })
    }
}

/// Nobody drives the crate's own runtime while nobody waits in it: a thread does, as long as there is
/// something to relay.
fn drive(told: &watch::Receiver<Told>) -> std::io::Result<()> {
    let state = State::current();
    let own = state.own().map_err(std::io::Error::other)?;
    if Handle::current().id() != own.handle().id() {
        return Ok(());
    }
    let mut told = told.clone();
    let thread = thread::Builder::new().name("mpfork-relay".to_owned());
    thread.spawn(move || {
        if let Ok(own) = state.own() {
            let _ = own.block_on(told.wait_for(Option::is_some));
        }
    })?;
    Ok(())
}

/// From the worker to the threads that write, to its end.
async fn relay(
    attached: &mut Attached,
    write: mpsc::Sender<(usize, Vec<u8>)>,
    channel: Option<Arc<OwnedFd>>,
) -> Result<Exit, Error> {
    let mut result = Vec::new();
    loop {
        let (number, bytes) = match attached.next().await? {
            Output::Stdout(bytes) => (0, bytes),
            Output::Stderr(bytes) => (1, bytes),
            Output::Result(part) => {
                result.extend(part);
                continue;
            }
            Output::Exited(exit) => {
                // A caller that is gone does not want it.
                if let Some(channel) = channel
                    && !result.is_empty()
                {
                    let _ = payload::write(channel.as_fd(), &result);
                }
                return Ok(*exit);
            }
        };
        // Where nobody reads, what comes is dropped.
        let _ = write.send((number, bytes)).await;
    }
}

/// From the thread that reads to the worker.
async fn feed(
    mut bytes: mpsc::Receiver<Vec<u8>>,
    input: Input,
    stop: PipeWriter,
    mut told: watch::Receiver<Told>,
) {
    loop {
        let chunk = tokio::select! {
            chunk = bytes.recv() => chunk,
            _ = told.wait_for(Option::is_some) => break,
        };
        match chunk {
            Some(chunk) => {
                if !input.send(&chunk).await {
                    break;
                }
            }
            None => {
                input.end().await;
                break;
            }
        }
    }
    drop(stop);
}
