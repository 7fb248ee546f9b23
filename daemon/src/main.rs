//! The service. Everything is in the library, so that tests can boot it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    // First of all: mpforkd executes itself as the zygote of plain commands.
    if let Err(error) = mpfork_zygote::serve_if_asked() {
        eprintln!("mpforkd: {error}");
        return ExitCode::FAILURE;
    }
    mpforkd::main_impl()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    mpfork_proto::platform::NotOnThisPlatform { program: "mpforkd" }.end()
}
