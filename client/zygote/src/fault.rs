//! Code of the program that failed: by an error or by a panic.

use crate::panics;
use mpfork_proto::v1;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Any error a program's code returns.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why a piece of the program's code failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    panicked: bool,
    message: String,
    location: Option<String>,
    chain: Vec<String>,
    backtrace: Option<String>,
}

/// Sources beyond these are not told.
const MAX_CHAIN: usize = 32;
/// A report must fit in its socket's buffer, for it is read after the worker's end only.
const MAX_MESSAGE_BYTES: usize = 16 << 10;
const MAX_SOURCE_BYTES: usize = 1 << 10;
const MAX_BACKTRACE_BYTES: usize = 32 << 10;

impl Fault {
    /// What an error tells.
    #[must_use]
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        let sources = std::iter::successors(error.source(), |&source| source.source());
        Self::of_error(
            error.to_string(),
            sources.take(MAX_CHAIN).map(ToString::to_string).collect(),
        )
    }

    /// An error that is text already.
    pub(crate) fn of_error(message: String, chain: Vec<String>) -> Self {
        Self {
            panicked: false,
            message,
            location: None,
            chain,
            backtrace: None,
        }
    }

    pub(crate) fn of_panic(panic: panics::Panic) -> Self {
        Self {
            panicked: true,
            message: panic.message,
            location: panic.location,
            chain: Vec::new(),
            backtrace: panic.backtrace,
        }
    }

    pub(crate) fn with_prefix(&self, prefix: &str) -> Self {
        Self {
            message: format!("{prefix}{}", self.message),
            ..self.clone()
        }
    }

    /// The message and its sources on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        for source in &self.chain {
            line.push_str(": ");
            line.push_str(source);
        }
        line
    }

    /// True for a panic, false for an error.
    #[must_use]
    pub fn panicked(&self) -> bool {
        self.panicked
    }

    /// The error's own text, or the panic's message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// file:line:column of a panic, where it is known.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The texts of the error's sources, outermost first.
    #[must_use]
    pub fn chain(&self) -> &[String] {
        &self.chain
    }

    /// The backtrace of a panic, when `RUST_BACKTRACE` asks for it.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// All but the message, for people; empty when there is no more to tell.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut lines = Vec::new();
        if self.panicked {
            let at = self.location.as_deref().unwrap_or("an unknown place");
            lines.push(format!("panicked at {at}"));
        }
        if !self.chain.is_empty() {
            lines.push(caused_by(&self.chain));
        }
        if let Some(backtrace) = &self.backtrace {
            lines.push(backtrace.clone());
        }
        lines.join("\n")
    }

    /// As it travels, in bounds.
    pub(crate) fn to_failure(&self, kind: v1::failure::Kind) -> v1::Failure {
        let part = |text: &Option<String>, limit| {
            text.as_deref()
                .map_or_else(String::new, |text| cut(text, limit))
        };
        v1::Failure {
            kind: kind.into(),
            message: cut(&self.message, MAX_MESSAGE_BYTES),
            location: part(&self.location, MAX_SOURCE_BYTES),
            chain: self
                .chain
                .iter()
                .take(MAX_CHAIN)
                .map(|source| cut(source, MAX_SOURCE_BYTES))
                .collect(),
            backtrace: part(&self.backtrace, MAX_BACKTRACE_BYTES),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.panicked {
            f.write_str("panicked: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The chain as people are used to see it.
pub(crate) fn caused_by(chain: &[String]) -> String {
    let mut text = "Caused by:".to_owned();
    for (index, source) in chain.iter().enumerate() {
        text.push_str("\n    ");
        if chain.len() > 1 {
            text.push_str(&format!("{index}: "));
        }
        text.push_str(&source.replace('\n', "\n    "));
    }
    text
}

/// At most this many bytes of a text.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{} [...]", &text[..text.floor_char_boundary(limit)])
}

/// Runs code of the program.
pub(crate) fn attempt<T>(code: impl FnOnce() -> Result<T, BoxError>) -> Result<T, Fault> {
    panics::forget();
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault::from_error(error.as_ref())),
        Err(payload) => Err(Fault::of_panic(panics::take(payload))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn errors_and_panics() {
        let fault =
            attempt::<()>(|| Err(Outer("x".parse::<u8>().unwrap_err()).into())).unwrap_err();
        assert_eq!(fault.to_string(), "outer");
        assert_eq!(fault.chain(), ["invalid digit found in string"]);
        assert_eq!(
            fault.trace(),
            "Caused by:\n    invalid digit found in string"
        );
        let fault = attempt::<()>(|| panic!("oh {}", 1)).unwrap_err();
        assert!(fault.panicked());
        assert_eq!(fault.message(), "oh 1");
    }

    #[test]
    fn failures_are_bounded() {
        let fault = Fault::of_error("é".repeat(40_000), vec!["x".repeat(5_000); 100]);
        let failure = fault.to_failure(v1::failure::Kind::Error);
        assert!(mpfork_proto::Message::encoded_len(&failure) < 80 << 10);
        assert_eq!(failure.chain.len(), MAX_CHAIN);
    }
}
