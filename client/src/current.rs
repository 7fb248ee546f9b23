//! What a process knows of itself.

use mpfork_proto::v1::WorkerId;

/// The process that is running. Mirrors `multiprocessing.current_process()`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentProcess {
    /// Its name: `MainProcess` where it was not started by mpfork.
    pub name: String,
    /// Its pid.
    pub pid: u32,
    /// Its id, when it is a worker.
    pub worker: Option<WorkerId>,
}

/// The process that is running.
///
/// ```
/// assert_eq!(mpfork::current_process().name, "MainProcess");
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    let pid = std::process::id();
    match mpfork_zygote::current() {
        None => CurrentProcess {
            name: "MainProcess".to_owned(),
            pid,
            worker: None,
        },
        Some(current) => CurrentProcess {
            name: if current.name.is_empty() {
                format!("Process-{}", current.id.counter)
            } else {
                current.name.clone()
            },
            pid,
            worker: Some(current.id),
        },
    }
}
