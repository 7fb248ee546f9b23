//! Preloads that take their time.

use super::common::{context, eventually, make, runtime, wait_for};

mpfork::preload! {
    /// Tells that it is being loaded, and waits to be let through, where it is asked to.
    static SLOW: u32 = || {
        if std::env::var_os("EMBEDDED_SLOW").is_some() {
            make("preloading");
            wait_for("go-on");
        }
        7
    };
    name = "slow",
}

fn is_loaded() -> u32 {
    *SLOW
}

/// Threads of the one that launches the server end while it loads.
pub(crate) fn beyond_its_thread() {
    let runtime = runtime(1);
    let ctx = context();
    let mut started = Box::pin(async move { ctx.spawn_async(is_loaded, ()).await });
    let launching = std::thread::Builder::new().name("launching".to_owned());
    let launching = launching
        .spawn(|| {
            {
                let _entered = runtime.enter();
                let mut polled = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(started.as_mut().poll(&mut polled).is_pending());
                eventually("preloading", || {
                    assert!(started.as_mut().poll(&mut polled).is_pending());
                    super::common::file("preloading").exists()
                });
            }
            (runtime, started)
        })
        .unwrap();
    let (runtime, started) = launching.join().unwrap();
    eventually("the thread is gone", || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks.filter_map(Result::ok).all(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|name| name.trim_end() != "launching")
        })
    });
    make("go-on");
    let loaded = runtime.block_on(async {
        let handle = started.await.unwrap();
        handle.join_async().await.unwrap()
    });
    assert_eq!(loaded, 7);
}

/// Dies while its server loads.
pub(crate) fn owner_killed() {
    let launching = std::thread::spawn(|| context().server().map(drop));
    wait_for("preloading");
    assert!(!launching.is_finished());
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
}

mpfork::preload! {
    /// So that there is more than one.
    static QUICK: u32 = || 8;
    name = "quick",
}

const _: fn() -> u32 = || *QUICK;
