//! The program of the conformance suite: its arguments name a subject and a scenario. By which way its
//! processes are made is the environment's affair; see `mpfork_tests::conformance`. It fails when
//! something is not as expected, and what it prints must be the same by all ways.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
