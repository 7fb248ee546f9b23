//! The program the tests execute as a zygote. What its preloads and hooks do is chosen by the names
//! asked for and by variables.
#![forbid(unsafe_code)]

mod functions;
mod hooks;
mod preloads;
mod program;

fn main() -> std::process::ExitCode {
    program::run()
}
