//! What the parts share.

use mpfork::{Context, StartMethod};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longer than anything takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Of the embedded server.
pub(crate) fn context() -> Context {
    mpfork::get_context(StartMethod::ForkServer).unwrap()
}

/// A file of the test's folder.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("EMBEDDED_FOLDER").unwrap()).join(name)
}

/// Waits until a file is there.
pub(crate) fn wait_for(name: &str) {
    eventually(name, || file(name).exists());
}

pub(crate) fn make(name: &str) {
    std::fs::write(file(name), "").unwrap();
}

pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !condition() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// For workers: waits until a file is there.
pub(crate) fn hold(name: String) {
    wait_for(&name);
}

/// Keeps those waiting who [`pass`] it, until it is dropped.
pub(crate) fn gate(name: &str) -> File {
    let gate = File::create(file(name)).unwrap();
    gate.lock().unwrap();
    gate
}

/// For workers: waits until the gate is open.
pub(crate) fn pass(name: String) {
    File::open(file(&name)).unwrap().lock_shared().unwrap();
}

/// The runtime of this program, of as many threads.
pub(crate) fn runtime(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap()
}

/// Lets this process have so many descriptors.
pub(crate) fn limit_descriptors(most: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: Some(maximum.map_or(most, |maximum| maximum.min(most))),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Every free number of a descriptor.
pub(crate) fn all_numbers() -> Vec<OwnedFd> {
    let mut all = Vec::new();
    let null = std::fs::File::open("/dev/null").unwrap();
    while let Ok(another) = null.try_clone() {
        all.push(another.into());
    }
    all
}
