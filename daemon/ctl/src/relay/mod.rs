//! A worker as if it were started here: its signals, its terminal, its stops.

mod pty;
mod pump;
mod raw;
mod signals;
mod suspend;

pub(crate) use pty::Pty;

use crate::ending::die_by;
use mpfork::api::{Client, Running};
use mpfork::{Error, Exit, WorkerId};
use nix::sys::signal::Signal;
use pty::Attached;
use signals::Signals;
use std::io;
use std::time::Duration;

/// How long the daemon may take to pass a signal on.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a terminal that belongs to somebody else is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Waits for the worker's end and relays everything until then.
pub(crate) async fn until_exit(
    client: &Client,
    mut running: Running,
    pty: Option<Pty>,
) -> Result<Exit, Error> {
    let mut relay = Relay {
        worker: running.started.worker,
        client,
        signals: Signals::listen(pty.is_some()).map_err(|e| system("listening to signals", e))?,
        pty: match pty {
            Some(pty) => Some(Attached::new(pty).map_err(|e| system("relaying a terminal", e))?),
            None => None,
        },
    };
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
