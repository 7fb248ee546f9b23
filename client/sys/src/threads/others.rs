//! The threads besides the calling one.

use super::{ManyThreads, platform};
use std::time::{Duration, Instant};

/// A thread's entry outlives its join by some ten microseconds.
const LINGER: Duration = Duration::from_secs(1);
/// One that sleeps as long is not just ending.
const NAP: Duration = Duration::from_millis(30);

/// Checks that this process has one thread. One that is just ending gets up to a second, on a busy
/// machine; one that sleeps is not, which is seen sooner.
///
/// # Errors
/// [`ManyThreads`] with the names of the others.
pub fn expect_single() -> Result<(), ManyThreads> {
    if is_single() {
        return Ok(());
    }
    let mut patience = Patience::new(0);
    while !patience.is_over() {
        std::thread::sleep(Duration::from_micros(50));
        if is_single() {
            return Ok(());
        }
    }
    Err(ManyThreads { names: others() })
}

/// How long to wait for other threads to end.
#[derive(Debug)]
struct Patience {
    begun: Instant,
    /// So many may sleep.
    allowed: usize,
    /// Those that slept at the beginning; absent once that was looked at again.
    sleepers: Option<Vec<u64>>,
}

impl Patience {
    fn new(allowed: usize) -> Self {
        Self {
            begun: Instant::now(),
            allowed,
            sleepers: Some(platform::sleepers()),
        }
    }

    fn is_over(&mut self) -> bool {
        self.is_over_after(self.begun.elapsed())
    }

    fn is_over_after(&mut self, waited: Duration) -> bool {
        if waited >= NAP
            && let Some(before) = self.sleepers.take()
        {
            let now = platform::sleepers();
            let still = now.iter().filter(|thread| before.contains(thread));
            return still.count() > self.allowed;
        }
        waited >= LINGER
    }
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

/// Checks that the main thread is asleep, and the only thread besides the calling one; others get the
/// time that [`expect_single`] gives them.
///
/// # Errors
/// [`ManyThreads`] with the names of the others.
pub(crate) fn expect_sleeping_main() -> Result<(), ManyThreads> {
    let mut patience = Patience::new(1);
    loop {
        let names = others();
        if names.len() == 1 && platform::main_sleeps() {
            return Ok(());
        }
        if patience.is_over() {
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
        // It sleeps: nobody waits for its end.
        let over_after = |waited, allowed| Patience::new(allowed).is_over_after(waited);
        let seen = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            over_after(NAP, 0)
        });
        assert!(seen);
        assert!(!over_after(NAP / 2, 0) && !over_after(NAP, usize::MAX));
        assert!(over_after(LINGER, 0));
        drop(end);
        thread.join().unwrap();
    }
}
