//! What the program does.

mod preload;

use mpfork_tests::bench::Program;
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    // mpforkd executes this program as the zygote of the workers that are measured.
    mpfork::freeze_support();
    mpfork_tests::bench::main_impl(Program {
        preload: preload::load,
        hold: preload::hold,
    })
}
