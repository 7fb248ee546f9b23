//! The command line. Everything is in the library, so that tests can call it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    mpctl::main_impl()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    mpfork_proto::platform::NotOnThisPlatform { program: "mpctl" }.end()
}
