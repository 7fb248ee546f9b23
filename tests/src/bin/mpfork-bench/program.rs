//! What the program does.

mod preload;

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers that are measured.
    mpfork::freeze_support();
    mpfork_tests::bench::main_impl(preload::load)
}
