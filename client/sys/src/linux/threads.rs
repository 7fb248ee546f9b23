//! Threads, as /proc tells them.

use std::os::unix::fs::MetadataExt as _;

pub(crate) fn is_single() -> bool {
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
