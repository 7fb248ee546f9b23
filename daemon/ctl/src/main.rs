//! The command line. Everything is in the library, so that tests can call it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    mpctl::main_impl()
}
