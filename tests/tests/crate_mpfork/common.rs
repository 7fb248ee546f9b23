//! What goes around each test.

use mpfork::api::block_on;
use mpfork::{Context, StartMethod};
use mpfork_tests::harness::{self, Daemon, Setup};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No test takes longer.
const DEADLINE: Duration = Duration::from_secs(120);

/// A daemon as a program sees it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) ctx: Context,
    pub(crate) socket: PathBuf,
    pub(crate) folder: PathBuf,
}

/// A context with the daemon at this socket.
pub(crate) fn context(socket: &Path) -> Context {
    let ctx = mpfork::get_context(StartMethod::ForkServer).unwrap();
    ctx.with_socket(socket)
}

/// Runs ordinary code with a daemon of its own; checks in the end that nothing is left.
pub(crate) fn check(test: impl FnOnce(&Server) + Send) {
    check_daemon(async |daemon| {
        let server = Server {
            ctx: context(daemon.socket()),
            socket: daemon.socket().to_owned(),
            folder: daemon.folder().path().to_owned(),
        };
        // A thread of its own, as this one belongs to the harness's async runtime.
        std::thread::scope(|scope| {
            let test = scope.spawn(|| test(&server));
            if let Err(panic) = test.join() {
                std::panic::resume_unwind(panic);
            }
        });
    });
}

/// As [`check`], for async code and for what the daemon itself is made to do.
pub(crate) fn check_daemon(test: impl AsyncFnOnce(&Daemon)) {
    check_setup(Setup::new(), test);
}

/// As [`check_daemon`], with a daemon of another kind.
pub(crate) fn check_setup(setup: Setup, test: impl AsyncFnOnce(&Daemon)) {
    // The first call of a process makes the crate's runtime, which stays.
    drive();
    let (running, ended) = channel::<()>();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seen = &over;
        scope.spawn(move || look_after(&ended, seen));
        // Dropped also when the test panics.
        let running = running;
        harness::check(setup, async |daemon| {
            test(daemon).await;
            over.store(true, Ordering::SeqCst);
        });
        drop(running);
    });
}

/// Ends everything when a test hangs. Once the test itself is over, lets the crate see that its
/// connections have ended, as nobody else drives it then.
fn look_after(ended: &Receiver<()>, over: &AtomicBool) {
    let begun = Instant::now();
    while ended.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
        if over.load(Ordering::SeqCst) {
            drive();
        } else if begun.elapsed() > DEADLINE {
            eprintln!("a test has not ended within {DEADLINE:?}");
            std::process::abort();
        }
    }
}

fn drive() {
    let turn = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    };
    block_on(turn).unwrap();
    // Those that ended after their objects were dropped are forgotten.
    drop(mpfork::active_children());
}
