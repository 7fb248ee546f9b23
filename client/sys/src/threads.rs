//! How many threads this process has.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

/// The process has more than one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyThreads {
    /// The names of the threads besides the calling one.
    pub names: Vec<String>,
}

impl std::fmt::Display for ManyThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the process has other threads: {}",
            self.names.join(", ")
        )
    }
}

impl std::error::Error for ManyThreads {}

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
    // The link count of this directory is the number of threads plus two: one system call instead of
    // reading the directory. Where it is not so (another kernel), the directory tells.
    match std::fs::metadata("/proc/self/task") {
        Ok(metadata) if metadata.nlink() >= 3 => metadata.nlink() == 3,
        _ => std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1),
    }
}

/// Waits until a thread of this process that is ending is gone, up to a second.
pub fn wait_until_gone(thread: i32) {
    let entry = format!("/proc/self/task/{thread}");
    let deadline = Instant::now() + LINGER;
    while std::fs::metadata(&entry).is_ok() && Instant::now() < deadline {
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
        if names.len() == 1 && main_sleeps() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ManyThreads { names });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// False when the caller is the main thread itself.
fn main_sleeps() -> bool {
    // The state follows the name, which is in parentheses and may contain some.
    let stat = format!("/proc/self/task/{}/stat", std::process::id());
    std::fs::read_to_string(stat)
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('S'))
        })
        .unwrap_or(false)
}

fn others() -> Vec<String> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .filter_map(Result::ok)
        .filter(|task| task.file_name().to_str() != Some(&own))
        .map(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .map_or_else(|_| "(ended)".to_owned(), |name| name.trim_end().to_owned())
        })
        .collect()
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
