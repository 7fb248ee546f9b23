//! Starts workers for a long time and checks that each ends as it must and that nothing piles up.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod functions;

#[cfg(unix)]
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers.
    mpfork::freeze_support();
    mpfork_tests::soak::main_impl()
}

/// It needs mpforkd.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "mpfork-soak",
    }
    .end()
}
