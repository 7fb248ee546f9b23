//! A worker as if it were started here: its signals, its terminal, its stops.

mod pty;
mod pump;
pub(crate) mod raw;
pub(crate) mod signals;
pub(crate) mod suspend;

pub(crate) use pty::Pty;

use crate::ending::die_by;
use mpfork::api::{Client, Relayed, Running, WorkerRequest};
use mpfork::{Error, Exit, WorkerId};
use nix::sys::signal::Signal;
use pty::Attached;
use signals::Signals;
use std::io;
use std::pin::pin;
use std::time::Duration;

/// How long the daemon may take to pass a signal on.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a start gets to come out once a signal has come that would have ended this process.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often a terminal that belongs to somebody else is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Starts a worker, and relays everything until its end.
pub(crate) async fn run(
    client: &Client,
    request: WorkerRequest,
    pty: Option<Pty>,
) -> Result<Exit, Error> {
    let signals = Signals::listen(pty.is_some());
    let mut signals = signals.map_err(|error| system("listening to signals", error))?;
    let (mut running, signal) = start(client, &request, &mut signals).await?;
    // Ours is not to keep open what the worker may close.
    drop(request);
    let pty = pty.map(Attached::new).transpose();
    let mut relay = Relay {
        worker: running.worker(),
        client,
        signals,
        pty: pty.map_err(|error| system("relaying a terminal", error))?,
    };
    if let Some(signal) = signal {
        relay.on_signal(signal).await?;
    }
    let exit = loop {
        tokio::select! {
            exit = running.exited() => break exit,
            signal = relay.signals.next() => relay.on_signal(signal).await?,
            () = Attached::suspends(relay.pty.as_mut()) => relay.suspend(true).await?,
            () = tokio::time::sleep(LOOK), if relay.waits_for_terminal() => relay.attend(),
        }
    };
    if let Some(pty) = relay.pty {
        pty.drain(&mut relay.signals).await;
    }
    exit
}

/// Starts the worker. A signal that comes meanwhile may be meant for it already; where there is none
/// to take it soon, it does to this process what it would have done.
async fn start(
    client: &Client,
    request: &WorkerRequest,
    signals: &mut Signals,
) -> Result<(Started, Option<Signal>), Error> {
    let mut starting = pin!(Started::new(client, request));
    let mut waiting = None;
    loop {
        tokio::select! {
            biased;
            running = &mut starting => return Ok((running?, waiting)),
            signal = signals.next(), if waiting.is_none() => {
                if !matches!(signal, Signal::SIGCONT | Signal::SIGWINCH) {
                    waiting = Some(signal);
                }
            }
            () = tokio::time::sleep(PATIENCE), if waiting.is_some() => match waiting.take() {
                Some(Signal::SIGTSTP) if suspend::is_possible() => suspend::stop(false),
                Some(Signal::SIGTSTP) | None => {}
                // Its worker, if there will be one, ends with this process.
                Some(signal) => die_by(signal),
            },
        }
    }
}

/// A worker that was started.
enum Started {
    Direct(Box<Running>),
    /// Where descriptors do not pass.
    Relayed(Relayed),
}

impl Started {
    async fn new(client: &Client, request: &WorkerRequest) -> Result<Self, Error> {
        if client.carries_descriptors() {
            let running = client.run_worker(request).await?;
            Ok(Self::Direct(Box::new(running)))
        } else {
            let relayed = client.run_relayed(request, false).await;
            relayed.map(Self::Relayed)
        }
    }

    fn worker(&self) -> WorkerId {
        match self {
            Self::Direct(running) => running.started.worker,
            Self::Relayed(relayed) => relayed.started.worker,
        }
    }

    async fn exited(&mut self) -> Result<Exit, Error> {
        match self {
            Self::Direct(running) => running.exited().await,
            Self::Relayed(relayed) => exited(relayed).await,
        }
    }
}

/// Waits for the end of a worker whose streams this process relays. Where its output can't be written
/// it does not wait for the worker, which would go on for nobody: it ends as the worker would have that
/// wrote there itself. A worker that is owned ends with it, another one waits for the next to attach.
pub(crate) async fn exited(relayed: &Relayed) -> Result<Exit, Error> {
    tokio::select! {
        biased;
        error = relayed.output_failed() => {
            if error.kind() == io::ErrorKind::BrokenPipe {
                die_by(Signal::SIGPIPE);
            }
            Err(system("writing what the worker wrote", error))
        }
        exit = relayed.exited() => exit,
    }
}

struct Relay<'a> {
    worker: WorkerId,
    client: &'a Client,
    signals: Signals,
    pty: Option<Attached>,
}

impl Relay<'_> {
    async fn on_signal(&mut self, signal: Signal) -> Result<(), Error> {
        match (signal, &self.pty) {
            (Signal::SIGTSTP, _) => self.suspend(false).await,
            (Signal::SIGCONT, _) => self.resume().await,
            // The kernel tells the terminal's foreground group.
            (Signal::SIGWINCH, Some(pty)) => {
                pty.resize();
                Ok(())
            }
            (_, Some(_)) if signals::is_fatal(signal) => {
                // Restores the terminal.
                self.pty = None;
                die_by(signal);
                Ok(())
            }
            _ => self.send(signal).await,
        }
    }

    /// To the worker's whole group. That it has ended is told elsewhere.
    async fn send(&self, signal: Signal) -> Result<(), Error> {
        let sent = self.client.signal_worker(self.worker, signal as i32, true);
        match tokio::time::timeout(ANSWER, sent).await {
            Ok(Err(error @ Error::ServerLost { .. })) => Err(error),
            Ok(Ok(_) | Err(_)) => Ok(()),
            // Whoever sends signals in vain wants an end of it.
            Err(_) => Err(Error::ServerLost {
                socket: self.client.socket().to_owned(),
                cause: format!("it did not pass {signal} on within {} s", ANSWER.as_secs()),
                asked: true,
            }),
        }
    }

    /// Stops the worker, then this process; with `whole_job` everything in this process's group.
    async fn suspend(&mut self, whole_job: bool) -> Result<(), Error> {
        if suspend::is_possible() {
            // A group that is alone in its session is deaf to anything less.
            let signal = match self.pty {
                Some(_) => Signal::SIGSTOP,
                None => Signal::SIGTSTP,
            };
            self.send(signal).await?;
            raw::leave();
            suspend::stop(whole_job);
            // The signal that made us go on is waiting and does the rest.
        } else if let Some(pty) = &self.pty {
            pty.go_on();
        }
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), Error> {
        self.attend();
        self.send(Signal::SIGCONT).await?;
        if let Some(pty) = &self.pty {
            pty.go_on();
        }
        Ok(())
    }

    /// Takes the terminal over, when it is this process's to take.
    fn attend(&self) {
        if let Some(pty) = &self.pty
            && raw::enter()
        {
            pty.resize();
        }
    }

    fn waits_for_terminal(&self) -> bool {
        self.pty.is_some() && !raw::is_on()
    }
}

fn system(doing: &str, error: io::Error) -> Error {
    Error::System {
        doing: doing.to_owned(),
        error,
    }
}
