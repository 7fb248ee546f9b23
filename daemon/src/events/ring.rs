//! The events that are remembered: so many, and so many bytes.

use mpfork_proto::Message as _;
use mpfork_proto::v1::Event;
use std::collections::VecDeque;
use std::sync::Arc;

/// An event as it is sent, which takes a fraction of what it takes to work with.
#[derive(Debug, Clone)]
pub(super) struct Encoded(Arc<[u8]>);

impl Encoded {
    fn new(event: &Event) -> Self {
        Self(event.encode_to_vec().into())
    }

    fn bytes(&self) -> usize {
        self.0.len() + OVERHEAD
    }

    pub(super) fn decode(&self) -> Event {
        // It was encoded here.
        Event::decode(&*self.0).unwrap_or_default()
    }
}

/// What an event takes beside its bytes: their counts, and its place.
const OVERHEAD: usize = size_of::<Encoded>() + 2 * size_of::<usize>();

#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Encoded>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    most: usize,
    most_bytes: usize,
}

impl Ring {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            next: 1,
            most,
            most_bytes,
        }
    }

    /// Gives the event its number, and makes room for it.
    pub(super) fn push(&mut self, mut event: Event) -> u64 {
        let sequence = self.next;
        self.next += 1;
        event.sequence = sequence;
        let event = Encoded::new(&event);
        self.bytes += event.bytes();
        self.events.push_back(event);
        self.make_room();
        sequence
    }

    /// Other bounds hold; what is over them is forgotten.
    pub(super) fn bound(&mut self, most: usize, most_bytes: usize) {
        self.most = most;
        self.most_bytes = most_bytes;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.events.len() > self.most || self.bytes > self.most_bytes {
            let Some(event) = self.events.pop_front() else {
                break;
            };
            self.bytes -= event.bytes();
        }
    }

    /// The number of the oldest one that is remembered; of the next one when none is.
    pub(super) fn first(&self) -> u64 {
        self.next - self.events.len() as u64
    }

    /// Those from this number on.
    pub(super) fn from(&self, sequence: u64) -> impl Iterator<Item = &Encoded> {
        let skipped = sequence.saturating_sub(self.first());
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let from = skipped.min(self.events.len());
        self.events.range(from..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(bytes: usize) -> Event {
        Event {
            message: "x".repeat(bytes),
            ..Event::default()
        }
    }

    #[test]
    fn numbers_go_on_when_events_are_forgotten() {
        let mut ring = Ring::new(3, usize::MAX);
        assert_eq!(ring.first(), 1);
        for expected in 1..=5 {
            assert_eq!(ring.push(event(0)), expected);
        }
        assert_eq!(ring.first(), 3);
        let seen = |from| {
            ring.from(from)
                .map(|e| e.decode().sequence)
                .collect::<Vec<_>>()
        };
        assert_eq!(seen(0), [3, 4, 5]);
        assert_eq!(seen(5), [5]);
        assert_eq!(seen(6), [0; 0]);
        assert_eq!(seen(u64::MAX), [0; 0]);
        // Under a lower bound the oldest go at once.
        ring.bound(1, usize::MAX);
        assert_eq!((ring.first(), ring.push(event(0))), (5, 6));
        assert_eq!(ring.first(), 6);
    }

    proptest! {
        #[test]
        fn neither_bound_is_ever_passed(
            most in 1usize..20,
            most_bytes in 0usize..(20 * OVERHEAD),
            sizes in prop::collection::vec(0usize..(3 * OVERHEAD), 0..60),
        ) {
            let mut ring = Ring::new(most, most_bytes);
            for (count, size) in sizes.iter().enumerate() {
                ring.push(event(*size));
                let kept: Vec<_> = ring.from(0).collect();
                prop_assert!(kept.len() <= most);
                let bytes: usize = kept.iter().map(|e| OVERHEAD + e.0.len()).sum();
                prop_assert!(bytes <= most_bytes);
                prop_assert_eq!(bytes, ring.bytes);
                let last = count as u64 + 1;
                prop_assert_eq!(ring.first() + kept.len() as u64, last + 1);
                prop_assert!(kept.iter().map(|e| e.decode().sequence).eq(ring.first()..=last));
            }
        }
    }
}
