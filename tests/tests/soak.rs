//! A short soak; the program runs long ones.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_tests::harness::programs::{DAEMON, program};
use std::process::Command;

#[test]
fn a_short_soak_finds_nothing() {
    let output = Command::new(program("mpfork-soak"))
        .args(["--starts", "20000", "--mpforkd"])
        .arg(program(DAEMON))
        .output()
        .unwrap();
    let summary = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{summary}{errors}");
    assert!(output.status.success());
    assert!(summary.contains("all is as it must be"));
}
