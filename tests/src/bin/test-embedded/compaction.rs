//! Servers with much memory, which is in huge pages or not; a hook that comes after all preloads.

use super::common::context;
use mpfork::Reason;

mpfork::preload! {
    /// Small pieces, 32 MB of them where it is asked to.
    static PIECES: Vec<Box<[u8; 48]>> = || -> Vec<Box<[u8; 48]>> {
        let count = match std::env::var_os("EMBEDDED_PIECES") {
            Some(_) => 32 << 14,
            None => 0,
        };
        (0..count).map(|_| Box::new([1; 48])).collect()
    };
    name = "pieces",
    env = ["EMBEDDED_PIECES", "GLIBC_TUNABLES"],
}

mpfork::after_preload!(freeze);

fn freeze() -> Result<(), std::io::Error> {
    match std::env::var_os("EMBEDDED_FREEZE") {
        Some(_) => Err(std::io::Error::other("can't freeze")),
        None => Ok(()),
    }
}

/// What is loaded, and what the worker has in its environment.
fn sees() -> (usize, Option<String>) {
    (PIECES.len(), std::env::var("GLIBC_TUNABLES").ok())
}

fn huge_kilobytes(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup
        .lines()
        .find(|line| line.starts_with("AnonHugePages:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// By default it is in huge pages, where there are such; and the program may decide otherwise.
pub(crate) fn both_ways() {
    let ctx = context();
    let own = std::env::var("GLIBC_TUNABLES").ok();
    let expected = (32 << 14, own);
    assert_eq!(ctx.spawn(sees, ()).unwrap().join().unwrap(), expected);
    let first = ctx.server().unwrap().pid;
    if mpfork_sys::memory::probe_collapse().is_ok() {
        assert!(
            huge_kilobytes(first) > 24 << 10,
            "{}",
            huge_kilobytes(first)
        );
    }
    ctx.set_forkserver_compaction(false);
    assert_eq!(ctx.spawn(sees, ()).unwrap().join().unwrap(), expected);
    let second = ctx.server().unwrap().pid;
    assert_ne!(first, second);
    let mode = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !mode.unwrap_or_default().contains("[always]") {
        assert_eq!(huge_kilobytes(second), 0);
    }
}

/// The hook's error is its caller's.
pub(crate) fn frozen() {
    let error = context().spawn(sees, ()).err().unwrap();
    assert_eq!(error.reason(), Some(Reason::HookFailed));
    assert!(error.to_string().contains("hook freeze"), "{error}");
    assert!(error.to_string().contains("can't freeze"), "{error}");
}
