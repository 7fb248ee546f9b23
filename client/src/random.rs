//! Ids that no other process chooses, a forked copy of this one included: so they come from the
//! system, not from a generator that is copied with the process.

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// 16 random bytes.
pub(crate) fn id() -> Vec<u8> {
    let mut id = [0; 16];
    if OsRng.try_fill_bytes(&mut id).is_err() {
        // A system without randomness: when, who and how often is different enough.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos().to_le_bytes();
        id[..8].copy_from_slice(&now[..8]);
        id[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        id[12..].copy_from_slice(&count.to_le_bytes()[..4]);
    }
    id.to_vec()
}

/// A random number.
pub(crate) fn number() -> u64 {
    let id = id();
    id.iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ() {
        assert_ne!(super::id(), super::id());
    }
}
