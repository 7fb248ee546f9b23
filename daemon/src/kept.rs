//! Output that is kept, the newest of it: in rings of bounded size, which together take a bounded size.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// The most bytes read from a ring at once.
pub(crate) const CHUNK: usize = 64 << 10;
/// So few closed rings are not searched for those that are gone.
const LEAST_SWEPT: usize = 16;

/// The newest bytes of something that is written.
#[derive(Debug)]
pub(crate) struct Ring {
    limit: usize,
    /// What all rings of a kind take together.
    total: Option<Arc<Total>>,
    bytes: Mutex<Bytes>,
    end: watch::Sender<End>,
}

#[derive(Debug, Default)]
struct Bytes {
    kept: VecDeque<u8>,
    /// How many came before those kept.
    dropped: u64,
}

/// How far the writing has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct End {
    at: u64,
    /// Nothing will be written any more.
    closed: bool,
}

/// A part of what a ring keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// How many bytes before it are not kept any more.
    pub(crate) dropped: u64,
    pub(crate) data: Vec<u8>,
    /// Where to go on.
    pub(crate) next: u64,
}

impl Ring {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            total: None,
            bytes: Mutex::default(),
            end: watch::Sender::default(),
        }
    }

    /// One of those that are bounded together.
    pub(crate) fn within(total: &Arc<Total>, limit: usize) -> Self {
        let mut ring = Self::new(limit);
        ring.total = Some(Arc::clone(total));
        ring
    }

    pub(crate) fn push(&self, written: &[u8]) {
        let mut bytes = self.bytes();
        let before = bytes.kept.len();
        bytes.append(written, self.limit);
        let at = bytes.end();
        let grown = bytes.kept.len() - before;
        drop(bytes);
        if let Some(total) = &self.total {
            total.grew(self, grown);
        }
        self.end.send_modify(|end| end.at = at);
    }

    /// Nothing more comes. What is kept may make room for what others write.
    pub(crate) fn close(self: &Arc<Self>) {
        let mut bytes = self.bytes();
        bytes.kept.shrink_to_fit();
        let empty = bytes.kept.is_empty();
        drop(bytes);
        let open = self
            .end
            .send_if_modified(|end| !std::mem::replace(&mut end.closed, true));
        if open
            && !empty
            && let Some(total) = &self.total
        {
            total.ended(self);
        }
    }

    /// Waits until nothing more comes.
    pub(crate) async fn closed(&self) {
        let _ = self.end.subscribe().wait_for(|end| end.closed).await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.end.borrow().closed
    }

    /// Waits until there is something beyond a place, or nothing more comes.
    pub(crate) async fn beyond(&self, at: u64) {
        let mut end = self.end.subscribe();
        let _ = end.wait_for(|end| end.closed || end.at > at).await;
    }

    /// How much has been written in all.
    pub(crate) fn end(&self) -> u64 {
        self.bytes().end()
    }

    /// What is kept from a place on, as much as is read at once.
    pub(crate) fn read(&self, from: u64) -> Chunk {
        let bytes = self.bytes();
        let start = from.max(bytes.dropped);
        let skip = usize::try_from(start - bytes.dropped).unwrap_or(usize::MAX);
        let data: Vec<u8> = bytes.kept.iter().skip(skip).take(CHUNK).copied().collect();
        drop(bytes);
        Chunk {
            dropped: start - from,
            next: start + data.len() as u64,
            data,
        }
    }

    /// Drops the oldest bytes; how many.
    fn shrink(&self, by: usize) -> usize {
        self.bytes().drop_oldest(by)
    }

    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let kept = self.bytes().kept.len();
        if let Some(total) = &self.total {
            let mut state = total.state();
            state.used = state.used.saturating_sub(kept);
        }
    }
}

impl Bytes {
    fn append(&mut self, written: &[u8], limit: usize) {
        let fits = &written[written.len().saturating_sub(limit)..];
        let over = (self.kept.len() + fits.len()).saturating_sub(limit);
        self.drop_oldest(over);
        self.dropped += (written.len() - fits.len()) as u64;
        self.kept.extend(fits);
    }

    fn drop_oldest(&mut self, count: usize) -> usize {
        let count = count.min(self.kept.len());
        self.kept.drain(..count);
        self.dropped += count as u64;
        count
    }

    fn end(&self) -> u64 {
        self.dropped + self.kept.len() as u64
    }
}

/// What all rings of a kind take together: those that are closed make room first, the oldest first.
#[derive(Debug)]
pub(crate) struct Total {
    limit: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    closed: VecDeque<Weak<Ring>>,
    /// How many of them there were when those that are gone were last taken out.
    swept: usize,
}

impl State {
    /// Empties closed rings, the oldest first, while all take more than this. Given back to be dropped
    /// when the lock is not held: the last one of a ring takes it.
    #[must_use]
    fn make_room(&mut self, limit: usize) -> Vec<Arc<Ring>> {
        let mut emptied = Vec::new();
        while self.used > limit {
            let Some(oldest) = self.closed.pop_front() else {
                break;
            };
            if let Some(oldest) = oldest.upgrade() {
                self.used = self.used.saturating_sub(oldest.shrink(usize::MAX));
                emptied.push(oldest);
            }
        }
        emptied
    }
}

impl Total {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            state: Mutex::default(),
        }
    }

    /// Those that are closed make room at once, where it is lower; the others when they next grow.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        let mut state = self.state();
        let emptied = state.make_room(limit);
        drop(state);
        drop(emptied);
    }

    pub(crate) fn used(&self) -> usize {
        self.state().used
    }

    fn grew(&self, ring: &Ring, by: usize) {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut state = self.state();
        state.used += by;
        let emptied = state.make_room(limit);
        let over = state.used.saturating_sub(limit);
        if over > 0 {
            state.used = state.used.saturating_sub(ring.shrink(over));
        }
        drop(state);
        drop(emptied);
    }

    fn ended(&self, ring: &Arc<Ring>) {
        let mut state = self.state();
        state.closed.push_back(Arc::downgrade(ring));
        if state.closed.len() > 2 * state.swept.max(LEAST_SWEPT) {
            state.closed.retain(|ring| ring.strong_count() > 0);
            state.swept = state.closed.len();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring) -> (u64, Vec<u8>) {
        let chunk = ring.read(0);
        (chunk.dropped, chunk.data)
    }

    #[test]
    fn the_newest_is_kept_and_the_rest_counted() {
        let ring = Ring::new(5);
        ring.push(b"abc");
        assert_eq!(all(&ring), (0, b"abc".to_vec()));
        ring.push(b"defg");
        assert_eq!(all(&ring), (2, b"cdefg".to_vec()));
        ring.push(b"0123456789");
        assert_eq!(all(&ring), (12, b"56789".to_vec()));
        assert_eq!((ring.end(), ring.read(15).data), (17, b"89".to_vec()));
        assert_eq!(ring.read(17).data, b"");
        let nothing = Ring::new(0);
        nothing.push(b"abc");
        assert_eq!(all(&nothing), (3, Vec::new()));
    }

    #[test]
    fn what_is_read_goes_on_where_it_ended() {
        let ring = Ring::new(3 * CHUNK);
        let written: Vec<u8> = (0..=255).cycle().take(2 * CHUNK + 7).collect();
        ring.push(&written);
        let (mut read, mut at) = (Vec::new(), 0);
        while at < ring.end() {
            let chunk = ring.read(at);
            assert_eq!(chunk.dropped, 0);
            at = chunk.next;
            read.extend(chunk.data);
        }
        assert!(read == written);
    }

    #[test]
    fn closed_rings_make_room_for_others_oldest_first() {
        let total = Arc::new(Total::new(10));
        let ring = |text: &[u8]| {
            let ring = Arc::new(Ring::within(&total, 8));
            ring.push(text);
            ring
        };
        let (one, two, open) = (ring(b"111"), ring(b"222"), ring(b"333"));
        two.close();
        one.close();
        assert_eq!(total.used(), 9);
        open.push(b"44");
        assert_eq!(all(&two), (3, Vec::new()));
        assert_eq!((all(&one).0, total.used()), (0, 8));
        open.push(b"555");
        assert_eq!((all(&one).0, total.used()), (3, 8));
        // With nobody else to make room it loses its own oldest.
        let other = ring(b"66666666");
        assert_eq!((all(&other), total.used()), ((6, b"66".to_vec()), 10));
        drop((one, two, open, other));
        assert_eq!(total.used(), 0);
    }

    #[test]
    fn under_a_lower_limit_closed_rings_make_room_at_once() {
        let total = Arc::new(Total::new(10));
        let rings = [b"111", b"222", b"333"].map(|text| {
            let ring = Arc::new(Ring::within(&total, 8));
            ring.push(text);
            ring
        });
        rings[0].close();
        rings[1].close();
        total.set_limit(6);
        assert_eq!((all(&rings[0]).0, total.used()), (3, 6));
        total.set_limit(1);
        assert_eq!((all(&rings[1]).0, total.used()), (3, 3));
        // Open ones do with what they write next.
        rings[2].push(b"4");
        assert_eq!((all(&rings[2]), total.used()), ((3, b"4".to_vec()), 1));
    }

    #[test]
    fn closed_rings_that_are_gone_are_not_counted_on_for_ever() {
        let total = Arc::new(Total::new(10));
        let closed = || {
            let ring = Arc::new(Ring::within(&total, 8));
            ring.push(b"1");
            ring.close();
            ring
        };
        // The oldest stays, all the others go.
        let oldest = closed();
        for _ in 0..1000 {
            drop(closed());
        }
        assert!(total.state().closed.len() <= 2 * LEAST_SWEPT);
        total.set_limit(0);
        assert_eq!((all(&oldest).0, total.used()), (1, 0));
    }

    #[tokio::test]
    async fn whoever_follows_is_told() {
        let ring = Arc::new(Ring::new(10));
        let reader = Arc::clone(&ring);
        let followed = tokio::spawn(async move {
            let (mut text, mut at) = (Vec::new(), 0);
            loop {
                let closed = reader.is_closed();
                let chunk = reader.read(at);
                at = chunk.next;
                text.extend(chunk.data);
                if closed {
                    return text;
                }
                reader.beyond(at).await;
            }
        });
        for part in [b"ab", b"cd", b"ef"] {
            ring.push(part);
            tokio::task::yield_now().await;
        }
        ring.close();
        assert_eq!(followed.await.unwrap(), b"abcdef");
    }

    proptest::proptest! {
        #[test]
        fn it_is_the_end_of_what_was_written(parts in proptest::collection::vec(
            proptest::collection::vec(proptest::num::u8::ANY, 0..20), 0..20), limit in 0usize..30) {
            let ring = Ring::new(limit);
            let mut written = Vec::new();
            for part in parts {
                ring.push(&part);
                written.extend(part);
                let (dropped, kept) = all(&ring);
                let from = written.len().saturating_sub(limit);
                assert_eq!((usize::try_from(dropped).unwrap(), kept), (from, written[from..].to_vec()));
            }
        }
    }
}
