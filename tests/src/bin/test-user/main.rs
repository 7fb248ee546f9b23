//! A program that uses the crate `mpfork`, for what a test can't do in its own process: change the
//! state of the process, count its threads, fork, be run several times, be killed. The first argument
//! names what it does; it fails when something is not as expected.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
