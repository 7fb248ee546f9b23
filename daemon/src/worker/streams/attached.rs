//! Streams that wait for a client to be attached, and a client that is.

use super::Streams;
use super::files::Taken;
use super::result::{Channel, Outcome};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::unix::pipe;

/// mpforkd's ends, whether somebody is attached or not.
#[derive(Debug)]
pub(super) struct Attachable {
    attached: AtomicBool,
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    /// Taken by the first who attaches: with that one it ends.
    stdin: Option<pipe::Sender>,
    outputs: [Option<Arc<pipe::Receiver>>; 2],
    result: Option<Channel>,
    /// The result, once it was asked for.
    outcome: Option<Arc<Outcome>>,
    closed: bool,
    taken: Option<Arc<Taken>>,
}

/// Why nobody can be attached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody else is.
    Attached,
    /// The ends are closed.
    Closed,
}

impl Attachable {
    pub(super) fn new(taken: Taken) -> Self {
        let ends = Ends {
            taken: Some(Arc::new(taken)),
            ..Ends::default()
        };
        Self {
            attached: AtomicBool::default(),
            ends: Mutex::new(ends),
        }
    }

    pub(super) fn stdin(&mut self, end: pipe::Sender) {
        self.ends().stdin = Some(end);
    }

    pub(super) fn output(&mut self, number: u32, end: Arc<pipe::Receiver>) {
        let place = usize::from(number == 2);
        self.ends().outputs[place] = Some(end);
    }

    pub(super) fn result(&mut self, channel: Channel) {
        self.ends().result = Some(channel);
    }

    /// Closes the ends; whoever is attached keeps its own, and gets the result.
    pub(super) fn close(&self) {
        let mut ends = self.ends();
        let mut closed = Ends {
            closed: true,
            ..Ends::default()
        };
        if self.attached.load(Ordering::Relaxed) {
            closed.result = ends.result.take();
            closed.outcome = ends.outcome.take();
        }
        let former = std::mem::replace(&mut *ends, closed);
        drop(ends);
        drop(former);
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that is attached: it has the ends until this is dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    streams: Arc<Streams>,
    stdin: Option<pipe::Sender>,
    /// Standard output and error.
    pub(crate) outputs: [Option<Arc<pipe::Receiver>>; 2],
    taken: Option<Arc<Taken>>,
}

impl Attachment {
    pub(super) fn new(streams: &Arc<Streams>) -> Result<Self, Refused> {
        let Some(attachable) = &streams.attachable else {
            return Err(Refused::Closed);
        };
        let mut ends = attachable.ends();
        if ends.closed {
            return Err(Refused::Closed);
        }
        if attachable.attached.swap(true, Ordering::Relaxed) {
            return Err(Refused::Attached);
        }
        let attachment = Self {
            streams: Arc::clone(streams),
            stdin: ends.stdin.take(),
            outputs: ends.outputs.clone(),
            taken: ends.taken.clone(),
        };
        drop(ends);
        Ok(attachment)
    }

    /// The end of the worker's standard input, once.
    pub(crate) fn take_stdin(&mut self) -> Option<pipe::Sender> {
        self.stdin.take()
    }

    /// The function's result, once its worker has ended.
    pub(crate) fn outcome(&self) -> Option<Arc<Outcome>> {
        let attachable = self.streams.attachable.as_ref()?;
        let mut ends = attachable.ends();
        if let Some(channel) = ends.result.take() {
            ends.outcome = channel.outcome().map(Arc::new);
        }
        ends.outcome.clone()
    }

    /// All that the worker wrote was passed on: nobody else needs the pipes. The result can be had
    /// again, should the answer have been lost.
    pub(crate) fn delivered(&mut self) {
        self.outputs = [None, None];
        self.taken = None;
        if let Some(attachable) = &self.streams.attachable {
            let mut ends = attachable.ends();
            ends.outputs = [None, None];
            ends.stdin = None;
            ends.taken = None;
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(attachable) = &self.streams.attachable {
            let mut ends = attachable.ends();
            attachable.attached.store(false, Ordering::Relaxed);
            // Kept for this one only.
            let kept = ends
                .closed
                .then(|| (ends.result.take(), ends.outcome.take()));
            drop(ends);
            drop(kept);
        }
    }
}
