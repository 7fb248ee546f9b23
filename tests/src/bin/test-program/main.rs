//! A program under test: its preloads, hooks and functions do what programs do, and what they should
//! not. What goes wrong is chosen by the variable `TEST_FAULT`, which the preloads declare, so that
//! each choice is another template. Started as an ordinary program it is a client: see `client.rs`.
#![forbid(unsafe_code)]

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "../../not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
