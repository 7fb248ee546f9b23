//! `test_support!` at the top of a test; `crate_mpfork` has it in a module.
#![allow(clippy::unwrap_used)]

#[path = "crate_mpfork/common.rs"]
mod common;

mpfork::test_support!();

#[test]
fn ordinary_tests_start_workers() {
    common::check(|server| {
        let call = server.ctx.spawn(|n: u32| 2 * n, 21).unwrap();
        assert_eq!(call.join().unwrap(), 42);
        assert_eq!(server.socket.parent().unwrap(), server.folder);
        let pid = server.ctx.spawn(std::process::id, ()).unwrap();
        assert_ne!(pid.join().unwrap(), std::process::id());
    });
}
