//! A connection's handle: the inbox, the outbox, and how it ended.

use crate::failure::Failure;
use crate::ledger::{Inbox, Missing, Outbox, acknowledgement_step};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{AcknowledgeRequest, Descriptor};
use mpfork_sys::fdpass;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Semaphore, watch};

/// One connection, as seen from either side. Clones are handles to the same.
///
/// What was claimed belongs to the claimer. The rest is closed: when the stream ends on a server,
/// when the last handle is dropped on a client (an answer read just before the end can still be
/// claimed), on both at once when descriptors were the reason of the failure.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) shared: Arc<Shared>,
}

/// Which side of the connection this is; it decides how credit comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Whether descriptors pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No handshake yet.
    New,
    /// The handshake is under way (client).
    Probing,
    Open,
    Without,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) side: Side,
    /// While the stream holds it.
    socket: Weak<OwnedFd>,
    pub(crate) state: Mutex<State>,
    /// The credit left for sending.
    pub(crate) credit: Arc<Semaphore>,
    closed: watch::Sender<bool>,
    served: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: u64,
    pub(crate) phase: Phase,
    pub(crate) inbox: Inbox<OwnedFd>,
    pub(crate) outbox: Outbox<OwnedFd>,
    /// What the peer granted us.
    pub(crate) send_credit: u32,
    /// What we granted the peer.
    pub(crate) receive_credit: u32,
    failure: Option<Failure>,
    pub(crate) closed: bool,
}

impl Connection {
    /// A server's new connection draws its id; a client learns it in the handshake.
    pub(crate) fn new(side: Side, socket: &Arc<OwnedFd>) -> Self {
        let (id, probes) = match side {
            Side::Client => (0, 0),
            // Nonzero, so that a reference left at its default is a foreign one.
            Side::Server => (rand::random_range(1..=u64::MAX), 1),
        };
        Self {
            shared: Arc::new(Shared {
                side,
                socket: Arc::downgrade(socket),
                state: Mutex::new(State {
                    id,
                    phase: Phase::New,
                    inbox: Inbox::new(probes),
                    outbox: Outbox::new(),
                    send_credit: 0,
                    receive_credit: 0,
                    failure: None,
                    closed: false,
                }),
                credit: Arc::new(Semaphore::new(0)),
                closed: watch::Sender::new(false),
                served: AtomicBool::new(false),
            }),
        }
    }

    /// The connection a request came in on.
    ///
    /// # Errors
    /// When the server does not run over [`FdStream`](crate::FdStream)s.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Problem> {
        request.extensions().get::<Self>().ok_or_else(|| {
            let detail = "the request did not come over a stream of mpfork-transport";
            Problem::new(Reason::Internal, detail).with("detail", detail)
        })
    }

    /// The random id; 0 on a client before the handshake.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.state().id
    }

    /// Whether descriptors pass, as the handshake found.
    #[must_use]
    pub fn carries_descriptors(&self) -> bool {
        self.state().phase == Phase::Open
    }

    /// Takes a descriptor that the peer sent.
    ///
    /// # Errors
    /// [`Reason::DescriptorMissing`] when the reference is another connection's, nothing of that
    /// number has arrived, it was claimed before, or the connection carries no descriptors.
    pub fn claim(&self, reference: &Descriptor) -> Result<OwnedFd, Problem> {
        let mut state = self.state();
        let detail = match state.phase {
            Phase::New | Phase::Probing => {
                "no handshake was made on this connection, so it carries no descriptors"
            }
            Phase::Without => "descriptors do not pass on this connection",
            Phase::Open if reference.connection != state.id => "it belongs to another connection",
            // Number 0 is the probe, which the handshake has taken.
            Phase::Open => match state.inbox.take(reference.number) {
                Ok(descriptor) => return Ok(descriptor),
                Err(Missing::Taken) => "it was claimed before, or closed with the connection",
                Err(Missing::NotArrived) => "no descriptor of that number has arrived",
            },
        };
        drop(state);
        Err(missing(reference, detail))
    }

    /// Takes all these descriptors, or closes those that are there and fails: nothing that was named
    /// stays behind.
    ///
    /// # Errors
    /// As [`Self::claim`], of the first that is missing.
    pub fn claim_all<'a>(
        &self,
        references: impl IntoIterator<Item = &'a Descriptor>,
    ) -> Result<Vec<OwnedFd>, Problem> {
        let claims: Vec<_> = references.into_iter().map(|r| self.claim(r)).collect();
        claims.into_iter().collect()
    }

    /// A call that is not refused was made: the peer is one to wait for.
    pub fn served(&self) {
        self.shared.served.store(true, Ordering::Relaxed);
    }

    /// Whether one was.
    #[must_use]
    pub fn was_served(&self) -> bool {
        self.shared.served.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has ended. Why: [`Self::failure`].
    pub async fn closed(&self) {
        // The sender lives in `shared`, so the wait can't fail while `self` is borrowed.
        let _ = self
            .shared
            .closed
            .subscribe()
            .wait_for(|closed| *closed)
            .await;
    }

    /// Whether something has come that was not read yet, the connection's end included: nobody may have driven
    /// its runtime for a while.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let Some(socket) = self.shared.socket.upgrade() else {
            return true;
        };
        let mut polled = [PollFd::new(&*socket, PollFlags::IN)];
        let now = Timespec::default();
        // What can't be told is to be looked at.
        rustix::io::retry_on_intr(|| poll(&mut polled, Some(&now))) != Ok(0)
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// What ended the connection; `None` while it lives and when it just closed.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    /// The acknowledgement that is due, if one is; it then counts as sent.
    pub(crate) fn acknowledgement_due(&self) -> Option<AcknowledgeRequest> {
        let mut state = self.state();
        if state.phase != Phase::Open || state.closed {
            return None;
        }
        let step = acknowledgement_step(state.receive_credit);
        let total = state.inbox.acknowledgement(step.into());
        drop(state);
        total.map(|received| AcknowledgeRequest { received })
    }

    /// Puts what came in with the last bytes into the inbox.
    pub(crate) fn arrived(&self, descriptors: &mut Vec<OwnedFd>) -> Result<(), Failure> {
        let arrival = self.state().inbox.arrive(descriptors.drain(..));
        arrival.map_err(|overflow| Failure::Flooded {
            unclaimed: overflow.unclaimed,
            allowed: overflow.allowed,
        })
    }

    /// One sendmsg: these bytes or the first of them, with as much of the outbox as goes along.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        // The lock is held over the system call, which does not block: numbers are positions in the
        // outbox, so nobody else may send from it in between.
        let mut state = self.state();
        if state.outbox.is_empty() {
            drop(state);
            return fdpass::send(socket, bytes, &[]).map(|(written, _)| written);
        }
        // One more than goes, so that `send` knows whether any are left over.
        let front = state.outbox.front(fdpass::MAX_PER_MESSAGE + 1);
        let descriptors: Vec<_> = front.map(|descriptor| descriptor.as_fd()).collect();
        let (written, count) = fdpass::send(socket, bytes, &descriptors)?;
        drop(descriptors);
        let sent = state.outbox.sent(count);
        drop(state);
        drop(sent);
        Ok(written)
    }

    /// Ends the connection for a reason; the first reason stands.
    pub(crate) fn fail(&self, failure: Failure) {
        let clear_inbox =
            self.shared.side == Side::Server || !matches!(failure, Failure::Socket { .. });
        self.end(Some(failure), clear_inbox);
    }

    /// The stream is gone.
    pub(crate) fn close(&self) {
        self.end(None, self.shared.side == Side::Server);
    }

    fn end(&self, failure: Option<Failure>, clear_inbox: bool) {
        let mut state = self.state();
        if state.failure.is_none() && !state.closed {
            state.failure = failure;
        }
        state.closed = true;
        let unsent = state.outbox.clear();
        let unclaimed = clear_inbox.then(|| state.inbox.clear());
        drop(state);
        // Outside the lock: closing may take its time.
        drop((unsent, unclaimed));
        self.shared.credit.close();
        self.shared.closed.send_replace(true);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it; and if, the books are still what keeps descriptors from
        // leaking.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(reference: &Descriptor, detail: &str) -> Problem {
    let number = reference.number;
    Problem::new(
        Reason::DescriptorMissing,
        format!("descriptor {number} is missing: {detail}"),
    )
    .with("number", number)
    .with("detail", detail)
}
