//! What goes around each test.

use super::{Daemon, Setup, leaks};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// No test takes longer.
const DEADLINE: Duration = Duration::from_secs(90);

/// Runs a test against a daemon of its own; checks in the end that nothing is left.
///
/// # Panics
/// When the test does, or leaves something.
pub fn check(setup: Setup, test: impl AsyncFnOnce(&Daemon)) {
    let running = leaks::enter();
    let daemon = setup.start();
    let result = catch_unwind(AssertUnwindSafe(|| {
        block_on(test(&daemon));
        daemon.finish();
    }));
    if let Err(panic) = result {
        eprintln!("--- the log of mpforkd:\n{}---", daemon.log());
        if !daemon.has_ended() {
            let _ = catch_unwind(AssertUnwindSafe(|| daemon.kill()));
        }
        std::mem::forget(running);
        resume_unwind(panic);
    }
    drop(daemon);
    drop(running);
}

/// Runs async code within the deadline, on a runtime of its own that is gone afterwards.
///
/// # Panics
/// When it takes longer.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await });
    drop(runtime);
    result.expect("the test ends within its deadline")
}

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// True, with a word on it, where a test can't be made because it needs root.
#[must_use]
pub fn skip_unless_root(why: &str) -> bool {
    let skip = !is_root();
    if skip {
        eprintln!("skipped: needs root, to {why}");
    }
    skip
}
