//! Threads, as /proc tells them.

use nix::sched::{CloneFlags, unshare};
use std::os::unix::fs::MetadataExt as _;

pub(crate) fn is_single() -> bool {
    // Whoever shares nothing with another thread may stop sharing, which then changes nothing. A process
    // just forked has no entry in /proc yet; to have one made for the question takes ten times as long.
    // A filter may refuse it, and what is refused to a process with threads needs no haste.
    if unshare(CloneFlags::CLONE_THREAD).is_ok() {
        return true;
    }
    // The link count of this directory is the number of threads plus two: one system call instead of
    // reading the directory. Where it is not so (another kernel), the directory tells.
    match std::fs::metadata("/proc/self/task") {
        Ok(metadata) if metadata.nlink() >= 3 => metadata.nlink() == 3,
        _ => std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1),
    }
}

pub(crate) fn own_number() -> u64 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
        .into()
}

pub(crate) fn is_there(thread: u64) -> bool {
    std::fs::metadata(format!("/proc/self/task/{thread}")).is_ok()
}

pub(crate) fn is_main() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// False when the caller is the main thread itself.
pub(crate) fn main_sleeps() -> bool {
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

/// The numbers of the threads besides the calling one that sleep, and are not about to end.
pub(crate) fn sleepers() -> Vec<u64> {
    let own = own_number();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .filter_map(Result::ok)
        .filter_map(|task| {
            let number = task.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            (number != own && sleeps(&stat)).then_some(number)
        })
        .collect()
}

/// Whether a thread sleeps that has not begun to end.
fn sleeps(stat: &str) -> bool {
    /// `PF_EXITING` of the kernel.
    const EXITING: u32 = 4;
    // The name is in parentheses and may contain some.
    let Some((_, rest)) = stat.rsplit_once(") ") else {
        return false;
    };
    let mut fields = rest.split(' ');
    let state = fields.next();
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u32>().ok());
    state == Some("S") && flags.is_some_and(|flags| flags & EXITING == 0)
}

/// The names of the threads besides the calling one.
pub(crate) fn others() -> Vec<String> {
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
    fn one_that_sleeps_is_told_from_one_that_ends() {
        assert!(sleeps("7 (a) b) S 1 7 7 0 -1 64 0 0"));
        for stat in [
            "7 (a) R 1 7 7 0 -1 64 0 0",
            "7 (a) S 1 7 7 0 -1 68 0 0",
            "7 (a) Z 1 7 7 0 -1 64 0 0",
            "7 (S",
        ] {
            assert!(!sleeps(stat), "{stat}");
        }
    }
}
