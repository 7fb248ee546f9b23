//! What has happened lately: a ring of events that anybody may follow at a pace of their own.
//!
//! Nothing is kept for a follower but its place in the ring. So a slow one can't hold up the daemon
//! nor take its memory; it is overtaken, and told what it missed.

mod record;
mod repeats;
mod ring;

pub(crate) use record::{Asked, Record};

use crate::config::Limits;
use mpfork_proto::v1::{Event, Gap};
use repeats::Repeats;
use ring::{Encoded, Ring};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::watch;

/// So many events are taken from the ring at a time.
const BATCH: usize = 64;

/// All events of this run.
#[derive(Debug)]
pub(crate) struct Events {
    instance: u64,
    ring: Mutex<Ring>,
    repeats: Mutex<Repeats>,
    /// The last event's number.
    news: watch::Sender<u64>,
    over: watch::Sender<bool>,
}

/// What a follower finds when it looks.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) gap: Option<Gap>,
    pub(crate) events: Vec<Event>,
}

impl Events {
    pub(crate) fn new(instance: u64, limits: &Limits) -> Self {
        Self {
            instance,
            ring: Mutex::new(Ring::new(
                limits.retained_events,
                limits.retained_event_bytes,
            )),
            repeats: Mutex::default(),
            news: watch::Sender::new(0),
            over: watch::Sender::new(false),
        }
    }

    /// Other bounds hold from now on.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        self.ring()
            .bound(limits.retained_events, limits.retained_event_bytes);
    }

    /// This run of the daemon.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// Something has happened.
    pub(crate) fn publish(&self, record: Record) {
        let mut event = record.0;
        event.instance = self.instance;
        event.time = Some(crate::convert::timestamp(SystemTime::now()));
        let last = self.ring().push(event);
        self.news.send_replace(last);
    }

    /// A start gave no worker. Refused as others were just before, it is told with those that follow:
    /// see [`publish_repeats`](Self::publish_repeats).
    pub(crate) fn publish_failed_start(&self, record: Record) {
        let admitted = self.repeats().admit(record);
        if let Some(record) = admitted {
            self.publish(record);
        }
    }

    /// Tells how many starts were refused as others before; to be called once a second.
    pub(crate) fn publish_repeats(&self) {
        let repeats = self.repeats().take();
        for record in repeats {
            self.publish(record);
        }
    }

    /// The last event's number; 0 when there has been none.
    pub(crate) fn last(&self) -> u64 {
        *self.news.borrow()
    }

    /// No more events: followers leave when they have seen all.
    pub(crate) fn end(&self) {
        self.publish_repeats();
        self.over.send_replace(true);
    }

    /// What follows an event: at most some, in order.
    pub(crate) fn after(&self, sequence: u64) -> Found {
        let ring = self.ring();
        let first = ring.first();
        let wanted = sequence.saturating_add(1);
        let gap = (wanted < first).then(|| Gap {
            instance: self.instance,
            first_missed: wanted,
            last_missed: Some(first - 1),
        });
        let events = ring.from(wanted.max(first)).take(BATCH).cloned();
        let events: Vec<_> = events.collect();
        drop(ring);
        let events = events.iter().map(Encoded::decode).collect();
        Found { gap, events }
    }

    /// Waits until there is something after an event. False: there never will be.
    pub(crate) async fn more(&self, sequence: u64) -> bool {
        let (mut news, mut over) = (self.news.subscribe(), self.over.subscribe());
        // The senders live in `self`, so the waits can't fail.
        tokio::select! {
            biased;
            _ = news.wait_for(|last| *last > sequence) => true,
            _ = over.wait_for(|over| *over) => false,
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
