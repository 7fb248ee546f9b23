//! Sending descriptors: reserve credit, queue, name.

use crate::connection::{Connection, Phase, Side};
use crate::failure::Failure;
use crate::ledger::largest_acknowledged_set;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::Descriptor;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Why descriptors could not be queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection carries none.
    #[error("descriptors do not pass on this connection")]
    NoDescriptors,
    /// More at once than the credit will ever allow, or than were reserved.
    #[error("{count} descriptors in one message, but at most {most} may be")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// The connection has ended; with the cause when it did not just close.
    #[error("the connection has ended{}", .0.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Closed(Option<Failure>),
}

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match &error {
            SendError::TooMany { .. } => Self::bad_request("descriptors", &error),
            SendError::Closed(Some(failure)) => Self::from(failure),
            SendError::NoDescriptors | SendError::Closed(None) => {
                Self::new(Reason::DescriptorMissing, error.to_string()).with("detail", &error)
            }
        }
    }
}

/// Credit for a number of descriptors that are not open yet. Dropping it gives the credit back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    connection: Connection,
    credit: Credit,
}

/// Descriptors on their way: a message that names all of them must follow.
#[derive(Debug)]
#[must_use]
pub struct Queued {
    /// The references, in the order of the descriptors.
    pub descriptors: Vec<Descriptor>,
    /// On a client: to be kept until the call is over. On a server it does nothing.
    pub credit: Credit,
}

/// Credit in use; it comes back when this is dropped. Empty on a server, where it comes back by
/// [`Connection::acknowledged`].
#[derive(Debug, Default)]
pub struct Credit {
    count: usize,
    from: Option<Arc<Semaphore>>,
}

impl Drop for Credit {
    fn drop(&mut self) {
        if let Some(from) = &self.from {
            from.add_permits(self.count);
        }
    }
}

impl Connection {
    /// Waits for credit for `count` descriptors, in turn. None are needed for none.
    ///
    /// # Errors
    /// When the connection carries no descriptors, would never allow that many at once, or ends.
    pub async fn reserve(&self, count: usize) -> Result<Reservation, SendError> {
        let mut reservation = Reservation {
            connection: self.clone(),
            credit: Credit::default(),
        };
        if count == 0 {
            return Ok(reservation);
        }
        let most = self.largest_set()?;
        let wanted = u32::try_from(count)
            .ok()
            .filter(|wanted| *wanted <= most)
            .ok_or(SendError::TooMany {
                count,
                most: most as usize,
            })?;
        let permit = self.shared.credit.acquire_many(wanted).await;
        // From here on counted by the reservation.
        permit.map_err(|_| self.refused())?.forget();
        reservation.credit = Credit {
            count,
            from: Some(Arc::clone(&self.shared.credit)),
        };
        Ok(reservation)
    }

    /// How many descriptors one message may carry.
    ///
    /// # Errors
    /// When the connection carries none, or has ended.
    pub fn largest_set(&self) -> Result<u32, SendError> {
        let state = self.state();
        if state.closed || state.phase != Phase::Open {
            drop(state);
            return Err(self.refused());
        }
        Ok(match self.shared.side {
            Side::Client => state.send_credit,
            Side::Server => largest_acknowledged_set(state.send_credit),
        })
    }

    /// Why there is no credit any more.
    fn refused(&self) -> SendError {
        if self.is_closed() {
            SendError::Closed(self.failure())
        } else {
            SendError::NoDescriptors
        }
    }

    /// The client has claimed this many descriptors in all: for the server's rpc `Acknowledge`.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] when that is more than were sent.
    pub fn acknowledged(&self, received: u64) -> Result<(), Problem> {
        let mut state = self.state();
        let freed = if state.phase == Phase::Open {
            let freed = state.outbox.acknowledge(received).map_err(|never| {
                let sent = never.sent;
                let detail = format!("{received} acknowledged, but {sent} were sent");
                Problem::bad_request("received", detail)
            })?;
            // Never more than the credit, which is a u32.
            usize::try_from(freed).unwrap_or(0)
        } else {
            0
        };
        drop(state);
        self.shared.credit.add_permits(freed);
        Ok(())
    }
}

impl Reservation {
    /// Queues the descriptors: they go out with the next bytes that are written. The message that
    /// names them must be handed to tonic right after; see the rules in the crate's documentation.
    /// Credit that was reserved for more comes back at once.
    ///
    /// # Errors
    /// When there are more than were reserved, or the connection has ended. They are closed then.
    pub fn queue(mut self, descriptors: Vec<OwnedFd>) -> Result<Queued, SendError> {
        let (count, most) = (descriptors.len(), self.credit.count);
        if count > most {
            return Err(SendError::TooMany { count, most });
        }
        if count == 0 {
            return Ok(Queued {
                descriptors: Vec::new(),
                credit: Credit::default(),
            });
        }
        let mut state = self.connection.state();
        if state.closed || state.phase != Phase::Open {
            drop(state);
            return Err(self.connection.refused());
        }
        let connection = state.id;
        let descriptors = descriptors
            .into_iter()
            .map(|descriptor| Descriptor {
                connection,
                number: state.outbox.push(descriptor),
            })
            .collect();
        drop(state);
        // What is left comes back with `self`.
        self.credit.count -= count;
        let credit = match self.connection.shared.side {
            Side::Client => Credit {
                count,
                from: self.credit.from.clone(),
            },
            Side::Server => Credit::default(),
        };
        Ok(Queued {
            descriptors,
            credit,
        })
    }
}

/// Runs a call to its end even when the returned future is dropped: from queueing descriptors to
/// claiming those of the answer nothing must stop it half-way. It needs a tokio runtime, and goes on
/// as that runtime is driven.
///
/// # Errors
/// When the call panicked, or the runtime was shut down.
///
/// # Panics
/// Outside a tokio runtime.
pub fn uncancelled<F>(
    call: F,
) -> impl Future<Output = Result<F::Output, tokio::task::JoinError>> + Send
where
    F: Future<Output: Send> + Send + 'static,
{
    // Spawned here, not at the first poll, so that nothing is lost between the two.
    tokio::spawn(call)
}
