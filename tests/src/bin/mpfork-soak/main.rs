//! Starts workers for a long time and checks that each ends as it must and that nothing piles up.
#![forbid(unsafe_code)]

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
