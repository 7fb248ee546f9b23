//! In the place of a program that is about what this platform lacks.

/// Says so.
pub(crate) fn main() -> std::process::ExitCode {
    mpfork_proto::platform::NotOnThisPlatform {
        program: env!("CARGO_BIN_NAME"),
    }
    .end()
}
