//! A terminal for the worker, in place of the one on standard input.

use super::signals::Signals;
use super::{pump, raw, suspend, system};
use mpfork::Error;
use mpfork::api::StartState;
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pty::{grantpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// A pseudoterminal. What the worker opens as a terminal is `slave`.
#[derive(Debug)]
pub(crate) struct Pty {
    master: Arc<OwnedFd>,
    slave: OwnedFd,
}

impl Pty {
    /// One with the modes and the size of the terminal on standard input, when there is one.
    pub(crate) fn in_place_of_stdin() -> io::Result<Option<Self>> {
        let outer = rustix::stdio::stdin();
        if !isatty(outer) {
            return Ok(None);
        }
        let master = mpfork_sys::terminals::master()?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(path.as_c_str(), flags, Mode::empty())?;
        if let Ok(modes) = tcgetattr(outer) {
            tcsetattr(&slave, OptionalActions::Now, &modes)?;
        }
        let pty = Self {
            master: Arc::new(master),
            slave,
        };
        resize(&pty.master);
        Ok(Some(pty))
    }

    /// Gives it to the worker, with a session of its own. Of the other standard streams only those
    /// that are terminals become this one: a redirected one stays redirected.
    pub(crate) fn give(&self, state: &mut StartState) -> Result<(), Error> {
        let streams = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        for (number, stream) in (0u32..).zip(streams) {
            if isatty(stream) {
                let slave = self.slave.try_clone();
                let slave = slave.map_err(|e| system("copying a terminal's descriptor", e))?;
                state.pass_fd(slave, number);
            }
        }
        state.controlling_terminal();
        Ok(())
    }
}

fn resize(master: &OwnedFd) {
    // A terminal that hung up has no size any more.
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        let _ = tcsetwinsize(master, size);
    }
}

/// A pseudoterminal whose other side is this process's terminal, which is raw until this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    master: Arc<OwnedFd>,
    held: Option<Held>,
    suspends: UnboundedReceiver<()>,
    go_on: mpsc::Sender<()>,
    drained: oneshot::Receiver<()>,
}

/// What is held while the worker runs.
#[derive(Debug)]
struct Held {
    /// The worker may close its own for a while.
    _slave: OwnedFd,
    /// Its end tells the pumps that the worker has ended.
    _running: io::PipeWriter,
}

impl Attached {
    pub(super) fn new(pty: Pty) -> io::Result<Self> {
        let (ended, running) = io::pipe()?;
        let (suspend, suspends) = unbounded_channel();
        let (go_on, going_on) = mpsc::channel();
        let (draining, drained) = oneshot::channel();
        let output = pump::Output {
            master: Arc::clone(&pty.master),
            to: screen()?,
            ended: ended.try_clone()?,
        };
        let input = pump::Input {
            master: Arc::clone(&pty.master),
            ended,
            suspend,
            going_on,
        };
        let attached = Self {
            master: pty.master,
            held: Some(Held {
                _slave: pty.slave,
                _running: running,
            }),
            suspends,
            go_on,
            drained,
        };
        raw::enter();
        // It may have changed while the worker was being started.
        attached.resize();
        // Only the main thread may take SIGTSTP: it decides what is stopped by it.
        suspend::without_tstp(|| {
            let output = thread::Builder::new()
                .name("output".to_owned())
                .spawn(move || {
                    output.run();
                    drop(draining);
                });
            let input = thread::Builder::new()
                .name("input".to_owned())
                .spawn(move || input.run());
            output.and(input)
        })?;
        Ok(attached)
    }

    /// Waits until ^Z is typed; without a terminal it never is.
    pub(super) async fn suspends(pty: Option<&mut Self>) {
        if let Some(pty) = pty
            && pty.suspends.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }

    /// After ^Z input waits for this.
    pub(super) fn go_on(&self) {
        // It has ended when standard input has.
        let _ = self.go_on.send(());
    }

    pub(super) fn resize(&self) {
        resize(&self.master);
    }

    /// Once the worker has ended: waits until all it wrote is on the screen, or somebody has lost
    /// patience.
    pub(super) async fn drain(mut self, signals: &mut Signals) {
        self.held = None;
        tokio::select! {
            // Nothing is ever sent: it ends.
            _ = &mut self.drained => {}
            () = signals.end() => {}
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        raw::leave();
    }
}

/// Where what the worker writes to its terminal is shown: on a standard stream that is a terminal.
fn screen() -> io::Result<OwnedFd> {
    let mut streams = [
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
        rustix::stdio::stdin(),
    ]
    .into_iter();
    // Standard input is one.
    let terminal = streams
        .find(|stream| isatty(stream))
        .unwrap_or(rustix::stdio::stdin());
    Ok(fcntl_dupfd_cloexec(terminal, 3)?)
}
