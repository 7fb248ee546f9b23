//! The signals this process takes while a worker runs.

use mpfork_sys::signals::is_ignored;
use nix::sys::signal::Signal;
use std::io;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

/// Passed on to the worker, or acted upon.
const RELAYED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// What else ends a process by default and can be noticed: with a terminal to restore it is.
const FATAL: &[Signal] = &[
    Signal::SIGABRT,
    Signal::SIGIO,
    Signal::SIGPROF,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGVTALRM,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    #[cfg(target_os = "linux")]
    Signal::SIGPWR,
];

/// Whether a signal is this process's own end, of no concern to the worker.
pub(crate) fn is_fatal(signal: Signal) -> bool {
    FATAL.contains(&signal)
}

/// The signals, as they come.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Begins to listen. What this process was told to ignore it goes on ignoring.
    pub(crate) fn listen(fatal: bool) -> io::Result<Self> {
        let fatal = FATAL.iter().filter(|_| fatal);
        let mut streams = Vec::new();
        for &signal in RELAYED.iter().chain(fatal) {
            if !is_ignored(signal as i32) {
                let kind = SignalKind::from_raw(signal as i32);
                streams.push((signal, unix::signal(kind)?));
            }
        }
        Ok(Self(streams))
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for one that asks this process to end.
    pub(crate) async fn end(&mut self) {
        loop {
            if matches!(
                self.next().await,
                Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM
            ) {
                return;
            }
        }
    }
}
