//! Waiting for conditions: the only place where tests sleep.

use std::time::{Duration, Instant};

/// No condition is waited for longer; they come true in a small part of it.
pub const LIMIT: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_millis(3);

/// Waits until the condition gives something.
///
/// # Panics
/// When it has not after [`LIMIT`].
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, condition).unwrap_or_else(|| panic!("not within {LIMIT:?}: {what}"))
}

/// Waits until the condition gives something, no longer than `limit`.
pub fn within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(PERIOD);
    }
}

/// As [`eventually`], where the condition has to ask somebody.
///
/// # Panics
/// When it has not come true after [`LIMIT`].
pub async fn eventually_async<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}
