//! Measures what a worker costs.
#![forbid(unsafe_code)]

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
