//! The threads besides the calling one.

use super::{ManyThreads, platform};
use std::time::{Duration, Instant};

/// A thread's entry outlives its join by some ten microseconds.
const LINGER: Duration = Duration::from_secs(1);

/// Checks that this process has one thread; a thread that is just ending gets up to a second.
///
/// # Errors
/// [`ManyThreads`] with the names of the others.
pub fn expect_single() -> Result<(), ManyThreads> {
    if is_single() {
        return Ok(());
    }
    let deadline = Instant::now() + LINGER;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(50));
        if is_single() {
            return Ok(());
        }
    }
    Err(ManyThreads { names: others() })
}

/// True when the calling thread is the only one.
#[must_use]
pub fn is_single() -> bool {
    platform::is_single()
}

/// The number of the calling thread, by which [`wait_until_gone`] knows it.
#[must_use]
pub fn own_number() -> u64 {
    platform::own_number()
}

/// Waits until a thread of this process that is ending is gone, up to a second.
pub fn wait_until_gone(thread: u64) {
    let deadline = Instant::now() + LINGER;
    while platform::is_there(thread) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Checks that the main thread is asleep, and the only thread besides the calling one; it gets up to a
/// second.
///
/// # Errors
/// [`ManyThreads`] with the names of the others.
pub(crate) fn expect_sleeping_main() -> Result<(), ManyThreads> {
    let deadline = Instant::now() + LINGER;
    loop {
        let names = others();
        if names.len() == 1 && platform::main_sleeps() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ManyThreads { names });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The names of the threads besides the calling one.
fn others() -> Vec<String> {
    platform::others()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_and_named() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (started, named) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("the-culprit".to_owned())
            .spawn(move || {
                let _ = started.send(());
                let _ = wait.recv();
            })
            .unwrap();
        named.recv().unwrap();
        assert!(!is_single());
        assert!(others().contains(&"the-culprit".to_owned()));
        drop(end);
        thread.join().unwrap();
    }
}
