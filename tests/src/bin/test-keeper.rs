//! The process around each daemon under test.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    mpfork_tests::harness::keeper::main()
}
