//! Workers over a connection without descriptors, as if there were some: their streams are relayed from
//! and to descriptors of this process, their results written to the caller's channel.

use super::attach::{Attached, Input, Output};
use super::latch::{Latch, Release, latch};
use super::pump::{Reading, Writing, read_on_a_thread, write_on_a_thread};
use super::{Client, StartState, Started, Task, WorkerRequest};
use crate::error::Error;
use crate::exit::Exit;
use crate::runtime::State;
use crate::standard;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::WorkerId;
use mpfork_transport::uncancelled;
use mpfork_zygote::payload;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use std::{process, thread};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// How often a start is sent again, and after what pause.
const AGAIN: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// How a worker ended, or why that is not known. `None` until then.
type Told = Option<Result<Exit, Arc<str>>>;

/// A worker that was started by [`Client::run_relayed`]. Dropping it leaves the worker running, and its
/// streams relayed.
///
/// Output that can't be written, as nobody reads it any more or the disk is full, is dropped, and the
/// worker is not told: that its write fails, or SIGPIPE ends it, needs descriptors. Whoever started it
/// learns of it by [`Self::output_failed`], and may end it.
#[derive(Debug)]
pub struct Relayed {
    /// The worker.
    pub started: Started,
    told: watch::Receiver<Told>,
    failed: watch::Receiver<Option<Errno>>,
    client: Client,
    /// Readable when the worker has ended and all its output has been written.
    sentinel: Latch,
    /// The process that relays.
    pid: u32,
}

impl Relayed {
    /// Waits for the worker's end, after which all it has written has arrived. May be cancelled and
    /// called again.
    ///
    /// # Errors
    /// [`Error::ServerLost`] when the connection broke, and in a forked child of the process that relays.
    pub async fn exited(&self) -> Result<Exit, Error> {
        let lost = |cause: String| Error::ServerLost {
            socket: self.client.socket().to_owned(),
            cause,
            asked: true,
        };
        if !self.is_ours() {
            return Err(lost("another process relays its streams".to_owned()));
        }
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

    /// Waits until something the worker wrote can't be written here, and tells why. Does not end when
    /// that never happens.
    pub async fn output_failed(&self) -> io::Error {
        let mut failed = self.failed.clone();
        if self.is_ours()
            && let Ok(failed) = failed.wait_for(Option::is_some).await
            && let Some(errno) = *failed
        {
            return errno.into();
        }
        std::future::pending().await
    }

    /// False in a forked child, which has neither the threads nor the tasks that relay.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == process::id()
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
        let lines = Lines::new(ends)?;
        let attached = client.attach_again(request, detached).await?;
        Ok(lines.relay(client, attached, channel))
    }

    /// Attaches to a worker and relays its streams from and to this process's own.
    ///
    /// # Errors
    /// As [`Client::attach_worker`].
    pub async fn attach_relayed(&self, worker: WorkerId) -> Result<Relayed, Error> {
        let mut state = StartState::default();
        state.own_streams();
        let ends = state.local_ends()?;
        let lines = Lines::new(ends)?;
        let attached = self.attach_worker(worker).await?;
        Ok(lines.relay(self.clone(), attached, None))
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
}

/// All that relaying takes, made before anything is asked for: a start that has happened must not fail
/// for the want of a thread. Dropped, its threads end.
struct Lines {
    input: Option<(Reading, OwnedFd)>,
    output: Writing,
    tell: watch::Sender<Told>,
    sentinel: Latch,
    ended: Release,
}

impl Lines {
    fn new([stdin, stdout, stderr]: [Option<OwnedFd>; 3]) -> Result<Self, Error> {
        Self::made([stdin, stdout, stderr])
            .map_err(|error| Error::system("relaying a worker's streams", error))
    }

    fn made([stdin, stdout, stderr]: [Option<OwnedFd>; 3]) -> io::Result<Self> {
        let _held = standard::hold();
        let (sentinel, ended) = latch()?;
        let (tell, told) = watch::channel(None);
        let input = match stdin {
            Some(stdin) => Some((read_on_a_thread()?, stdin)),
            None => None,
        };
        let output = write_on_a_thread([stdout, stderr])?;
        drive(told)?;
        Ok(Self {
            input,
            output,
            tell,
            sentinel,
            ended,
        })
    }

    fn relay(
        self,
        client: Client,
        mut attached: Attached,
        channel: Option<Arc<OwnedFd>>,
    ) -> Relayed {
        let Self {
            input,
            output,
            tell,
            sentinel,
            ended,
        } = self;
        let Writing {
            write,
            written,
            failed,
        } = output;
        let relayed = Relayed {
            started: Started {
                way: attached.started.way,
                worker: attached.started.worker,
                pid: attached.started.pid,
                pidfd: attached.started.pidfd.take(),
            },
            told: tell.subscribe(),
            failed,
            client,
            sentinel,
            pid: process::id(),
        };
        if let Some((to, (reading, stdin))) = attached.take_input().zip(input) {
            let Reading { from, bytes, stop } = reading;
            // Its thread waits for it.
            let _ = from.send(stdin);
            // Ends with the worker: nobody takes any more then.
            tokio::spawn(feed(bytes, to, stop, tell.subscribe()));
        }
        tokio::spawn(async move {
            let outcome = relay(&mut attached, write, channel).await;
            // All that came has been written when its thread has ended.
            let _ = written.await;
            let outcome = outcome.map_err(|error| Arc::from(error.to_string()));
            // Whoever was told finds the sentinel readable.
            drop(ended);
            tell.send_replace(Some(outcome));
        });
        relayed
    }
}

/// Nobody drives the crate's own runtime while nobody waits in it: a thread does, as long as there is
/// something to relay.
fn drive(mut told: watch::Receiver<Told>) -> io::Result<()> {
    let state = State::current();
    let own = state.own().map_err(io::Error::other)?;
    if Handle::current().id() != own.handle().id() {
        return Ok(());
    }
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
    stop: Release,
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
