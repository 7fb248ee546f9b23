//! Measures what a worker costs.
#![forbid(unsafe_code)]

mod preload;

use std::process::ExitCode;

fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers that are measured.
    mpfork::freeze_support();
    mpfork_tests::bench::main_impl(preload::load)
}
