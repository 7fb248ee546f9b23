//! Starts workers for a long time and checks that each ends as it must and that nothing piles up.
#![forbid(unsafe_code)]

mod functions;

use std::process::ExitCode;

fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers.
    mpfork::freeze_support();
    mpfork_tests::soak::main_impl()
}
