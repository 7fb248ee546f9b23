//! What the program does.

mod functions;

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers.
    mpfork::freeze_support();
    mpfork_tests::soak::main_impl()
}
