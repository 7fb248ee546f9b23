//! Nothing is left behind: not when this is interrupted, and not of what others left.

use anyhow::{bail, ensure};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The signal that ends this; 0: none came.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);
/// The helpers that run. None is reaped without being taken out under the lock, so each pid is what it was.
static HELPERS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// How long processes that nobody waits for may take to end.
const LEFT: Duration = Duration::from_secs(20);

/// Has processes that lose their parent become this one's children, and signals that end a program end
/// the helpers, whereupon this fails in order. Before there is a second thread.
pub(super) fn watch() -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    // Programs that are executed get an empty mask from the standard library.
    signals.thread_block()?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                let helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
                INTERRUPTED.store(signal as i32, Ordering::SeqCst);
                for pid in helpers.iter() {
                    signal_helper(*pid, Signal::SIGKILL);
                }
            }
        })?;
    Ok(())
}

/// Fails once this was interrupted.
pub(super) fn check() -> anyhow::Result<()> {
    match INTERRUPTED.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => bail!(
            "ended by {}",
            Signal::try_from(signal).map_or("a signal", Signal::as_str)
        ),
    }
}

/// A helper runs.
pub(super) fn began(pid: u32) {
    let mut helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
    helpers.push(pid);
    if INTERRUPTED.load(Ordering::SeqCst) != 0 {
        signal_helper(pid, Signal::SIGKILL);
    }
    drop(helpers);
}

/// How a helper has ended, once it has.
pub(super) fn ended(helper: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let mut helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
    let status = helper.try_wait()?;
    if status.is_some() {
        helpers.retain(|pid| *pid != helper.id());
    }
    drop(helpers);
    Ok(status)
}

/// Ends a helper, if it has not ended, and reaps it.
pub(super) fn ending(helper: &mut Child) {
    let mut helpers = HELPERS.lock().unwrap_or_else(PoisonError::into_inner);
    helpers.retain(|pid| *pid != helper.id());
    if matches!(helper.try_wait(), Ok(None)) {
        let _ = helper.kill();
        let _ = helper.wait();
    }
    drop(helpers);
}

fn signal_helper(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Waits for all processes that lost their parent: a helper's forkserver, and its workers, end when the
/// helper has. Those that don't are ended, and named. Everything this process started itself must have
/// been waited for.
pub(super) fn reap() -> anyhow::Result<()> {
    let deadline = Instant::now() + LEFT;
    let mut killed = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => break,
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(WaitStatus::StillAlive) => {
                let left = children();
                ensure!(!left.is_empty(), "children are left that can't be named");
                for pid in left {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                    let _ = waitpid(Pid::from_raw(pid), None);
                    killed.push(pid);
                }
            }
            Ok(_) => {}
        }
    }
    ensure!(
        killed.is_empty(),
        "these processes did not end by themselves: {killed:?}"
    );
    Ok(())
}

/// This process's children.
fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let lists =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let text: String = lists.collect();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
