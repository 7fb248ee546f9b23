//! What this version does not have on a platform.

use std::fmt;
use std::process::ExitCode;

/// `EX_UNAVAILABLE` of sysexits.h.
const UNAVAILABLE: u8 = 69;

/// A program that this version does not have on the platform it was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOnThisPlatform {
    /// The program.
    pub program: &'static str,
}

impl NotOnThisPlatform {
    /// Says so on standard error; what the program ends with.
    #[must_use]
    pub fn end(self) -> ExitCode {
        eprintln!("{}: {self}", self.program);
        ExitCode::from(UNAVAILABLE)
    }
}

impl fmt::Display for NotOnThisPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this version has no {} for {}: it needs Unix sockets that carry descriptors, and fork; the \
             crate mpfork starts processes there by itself, with start method spawn",
            self.program,
            std::env::consts::OS
        )
    }
}

impl std::error::Error for NotOnThisPlatform {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_program_and_the_platform() {
        let text = NotOnThisPlatform { program: "mpforkd" }.to_string();
        assert!(text.contains("no mpforkd for "), "{text}");
        assert!(text.contains(std::env::consts::OS), "{text}");
    }
}
