//! The program the tests execute as a zygote. What its preloads and hooks do is chosen by the names
//! asked for and by variables. This one is for a test that builds it with `panic = "abort"`.
#![forbid(unsafe_code)]

#[cfg_attr(unix, path = "program.rs")]
#[cfg_attr(not(unix), path = "not_here.rs")]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
