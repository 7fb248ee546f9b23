//! The process around each daemon under test.
#![forbid(unsafe_code)]

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    mpfork_tests::harness::keeper::main()
}

/// It needs mpforkd.
#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: "test-keeper",
    }
    .end()
}
