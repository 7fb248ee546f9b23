//! The processes that this process started and that have not ended: listed, and joined at its end.
//!
//! What is kept is bounded by what runs: a process that is joined is forgotten, and now and then those
//! that ended unnoticed are.

use crate::error::Error;
use crate::platform;
use crate::process::{Inner, Process};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

/// Of one process: a forked child has none of its parent's children.
#[derive(Debug)]
struct Children {
    pid: u32,
    /// By number, and so in the order they were started in.
    running: BTreeMap<u64, Arc<Inner>>,
    /// How many there must be for those that have ended to be looked for.
    swept_at: usize,
    /// Whether they are joined when the process calls `exit`.
    watched: bool,
}

/// So few are not worth looking through.
const FEW: usize = 64;

static CHILDREN: Mutex<Option<Children>> = Mutex::new(None);
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The number of a process that is about to be listed.
pub(crate) fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn lock() -> MutexGuard<'static, Option<Children>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Children {
    /// This process's, made where there are none.
    fn own(place: &mut Option<Self>) -> &mut Self {
        let pid = std::process::id();
        if place.as_ref().is_some_and(|children| children.pid != pid) {
            // The parent still uses the sockets behind them: forgotten, not dropped.
            std::mem::forget(place.take());
        }
        place.get_or_insert_with(|| Self {
            pid,
            running: BTreeMap::new(),
            swept_at: FEW,
            watched: false,
        })
    }

    /// Takes out what has ended.
    fn sweep(&mut self) -> Vec<Arc<Inner>> {
        let ended = self
            .running
            .extract_if(.., |_, child| !child.worker.is_alive());
        let ended = ended.map(|(_, child)| child).collect();
        self.swept_at = FEW.max(2 * self.running.len());
        ended
    }
}

/// A process was started.
pub(crate) fn add(child: &Arc<Inner>) {
    let mut place = lock();
    let children = Children::own(&mut place);
    children.running.insert(child.number, Arc::clone(child));
    let ended = if children.running.len() >= children.swept_at {
        children.sweep()
    } else {
        Vec::new()
    };
    drop(place);
    drop(ended);
    watch_end();
}

/// From here on the end of this process is one in order.
pub(crate) fn watch_end() {
    let mut place = lock();
    let watched = std::mem::replace(&mut Children::own(&mut place).watched, true);
    drop(place);
    if !watched {
        join_at_end();
    }
}

/// Its end is known.
pub(crate) fn forget(child: &Inner) {
    let mut place = lock();
    let children = Children::own(&mut place);
    let forgotten = children.running.remove(&child.number);
    drop(place);
    drop(forgotten);
}

/// The processes that this process started and that have not ended, in the order they were started
/// in: those of all contexts, also those whose [`Process`] was dropped. Their pipes stay with whoever
/// started them.
///
/// Commands ([`Context::command`](crate::Context::command)) are not among them, nor is what was started
/// [detached](crate::ProcessBuilder::detached).
///
/// Mirrors `multiprocessing.active_children()`.
///
/// ```
/// assert!(mpfork::active_children().is_empty());
/// ```
#[must_use]
pub fn active_children() -> Vec<Process> {
    let mut place = lock();
    let children = Children::own(&mut place);
    let ended = children.sweep();
    let running: Vec<_> = children.running.values().map(Arc::clone).collect();
    drop(place);
    drop(ended);
    running.into_iter().map(Process::again).collect()
}

/// How many CPUs the machine has that are online: more than this process may use, where it is kept to
/// some of them ([`std::thread::available_parallelism`] tells that).
///
/// Mirrors `multiprocessing.cpu_count()`.
///
/// ```
/// assert!(mpfork::cpu_count()? >= 1);
/// # Ok::<(), mpfork::Error>(())
/// ```
///
/// # Errors
/// [`Error::System`] when the system does not tell.
pub fn cpu_count() -> Result<usize, Error> {
    let unknown = |error: std::io::Error| Error::system("determining the number of CPUs", error);
    platform::cpu_count()
        .map_err(unknown)?
        .filter(|count| *count > 0)
        .ok_or_else(|| unknown(std::io::Error::other("the system does not tell it")))
}

/// Has the children joined when this process ends: by `exit`, to which a return from `main` leads, and
/// when it is a worker at that worker's end.
fn join_at_end() {
    static WORKERS_END: Once = Once::new();
    WORKERS_END.call_once(|| mpfork_zygote::at_end(join_all));
    if !mpfork_sys::exit::at_exit(at_exit) {
        tracing::warn!("the system takes no exit handler: children are not joined at exit");
    }
}

extern "C" fn at_exit() {
    join_all();
}

/// Asks daemonic children to end, then waits for all: but not for those that are to outlive this
/// process.
///
/// The thread's locals are gone when an exit handler runs, so this has no use for a runtime.
fn join_all() {
    let mut place = lock();
    let children = Children::own(&mut place);
    let joined: Vec<_> = children
        .running
        .values()
        .filter(|child| child.joined_at_end)
        .map(Arc::clone)
        .collect();
    drop(place);
    for child in joined.iter().filter(|child| child.daemon) {
        child.worker.terminate_at_end();
    }
    for child in &joined {
        crate::sentinel::wait(child.worker.sentinel(), None);
    }
    #[cfg(unix)]
    crate::embedded::leave();
    // Nobody is left for whom to tidy up, and what drops a connection may want a runtime.
    std::mem::forget(joined);
}
