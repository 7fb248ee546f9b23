//! The book-keeping without I/O: numbers, the inbox's bound, credit. Generic over what is kept, so
//! that it can be tested without descriptors.

use std::collections::{BTreeMap, VecDeque};

/// What has arrived and not been claimed, by number.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    /// The number the next arrival gets.
    next: u64,
    limit: usize,
    waiting: BTreeMap<u64, T>,
    /// How many have been claimed in all.
    taken: u64,
    /// `taken` when it was last acknowledged.
    acknowledged: u64,
}

/// More lies unclaimed than may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) unclaimed: usize,
    pub(crate) allowed: usize,
}

/// Why a number can't be claimed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    NotArrived,
    Taken,
}

impl<T> Inbox<T> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            next: 0,
            limit,
            waiting: BTreeMap::new(),
            taken: 0,
            acknowledged: 0,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn arrive(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), Overflow> {
        for item in items {
            self.waiting.insert(self.next, item);
            self.next += 1;
        }
        if self.waiting.len() > self.limit {
            return Err(Overflow {
                unclaimed: self.waiting.len(),
                allowed: self.limit,
            });
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, number: u64) -> Result<T, Missing> {
        if number >= self.next {
            return Err(Missing::NotArrived);
        }
        let item = self.waiting.remove(&number).ok_or(Missing::Taken)?;
        self.taken += 1;
        Ok(item)
    }

    /// The total to acknowledge, once `step` more have been claimed than at the last time.
    pub(crate) fn acknowledgement(&mut self, step: u64) -> Option<u64> {
        if self.taken - self.acknowledged < step {
            return None;
        }
        self.acknowledged = self.taken;
        Some(self.taken)
    }

    /// The first `count` claimed are known to the peer without being acknowledged: the probe.
    pub(crate) fn settle(&mut self, count: u64) {
        self.acknowledged = self.acknowledged.max(count.min(self.taken));
    }

    /// Takes everything out, for the caller to drop.
    pub(crate) fn clear(&mut self) -> BTreeMap<u64, T> {
        std::mem::take(&mut self.waiting)
    }
}

/// What is queued to go out, and how much of it the peer has acknowledged.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    next: u64,
    queue: VecDeque<T>,
    acknowledged: u64,
}

impl<T> Outbox<T> {
    pub(crate) const fn new() -> Self {
        Self {
            next: 0,
            queue: VecDeque::new(),
            acknowledged: 0,
        }
    }

    /// Queues one and returns its number.
    pub(crate) fn push(&mut self, item: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.queue.push_back(item);
        number
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The first ones in line.
    pub(crate) fn front(&self, count: usize) -> impl Iterator<Item = &T> {
        self.queue.iter().take(count)
    }

    /// The first `count` have been sent; returned for the caller to drop.
    pub(crate) fn sent(&mut self, count: usize) -> Vec<T> {
        self.queue.drain(..count.min(self.queue.len())).collect()
    }

    /// The peer has taken `total` in all; returns how much credit that frees. An older total than
    /// one before frees none: acknowledgements may overtake each other.
    pub(crate) fn acknowledge(&mut self, total: u64) -> Result<u64, NeverSent> {
        let sent = self.next - self.queue.len() as u64;
        if total > sent {
            return Err(NeverSent { sent });
        }
        let freed = total.saturating_sub(self.acknowledged);
        self.acknowledged += freed;
        Ok(freed)
    }

    /// The first `count` take no credit: the probe.
    pub(crate) fn settle(&mut self, count: u64) {
        self.acknowledged = self.acknowledged.max(count.min(self.next));
    }

    /// Takes everything out, for the caller to drop.
    pub(crate) fn clear(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.queue)
    }
}

/// An acknowledgement of more than was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NeverSent {
    pub(crate) sent: u64,
}

/// How many must be claimed before they are acknowledged: half the credit.
pub(crate) fn acknowledgement_step(credit: u32) -> u32 {
    (credit / 2).max(1)
}

/// The largest set that is sure to get credit from a peer that acknowledges in steps: all but the
/// last step may be waiting for more to be claimed.
pub(crate) fn largest_acknowledged_set(credit: u32) -> u32 {
    if credit == 0 {
        return 0;
    }
    credit - (acknowledgement_step(credit) - 1)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
