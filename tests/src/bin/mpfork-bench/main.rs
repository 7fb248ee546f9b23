//! Measures what a worker costs.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod preload;

#[cfg(unix)]
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers that are measured.
    mpfork::freeze_support();
    mpfork_tests::bench::main_impl(preload::load)
}

/// It needs mpforkd.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "mpfork-bench",
    }
    .end()
}
