//! A program that drives its embedded server to the limits: full links, stopped and killed zygotes, no free
//! descriptors, threads that end, crowds. The first argument names what it does; it fails when something
//! is not as expected.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // It is a test, and may panic.

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
