//! What a function that a [`Process`](crate::Process) runs may return.

use crate::outcome::{BoxError, failed};
use mpfork_sys::entry::Returned;
use std::process::ExitCode;

/// A return type that says how the process ends: its exit code.
///
/// `()` ends it with 0, an [`ExitCode`] with that code, a function that never returns as it does, `Ok` as the value in it would and `Err` with
/// 1, after the error and its sources were printed to standard error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how a process ends",
    note = "return `()`, `std::process::ExitCode` or a `Result` of one of them; for a function with \
            a result use `Context::spawn`"
)]
pub trait Ending {
    /// Encodes it in the worker.
    #[doc(hidden)]
    fn returned(self) -> Returned;
}

impl Ending for () {
    fn returned(self) -> Returned {
        Returned::Code(0)
    }
}

/// The type of what never returns, which has no name in stable Rust but that of a function's output.
type Never = <fn() -> ! as Output>::Type;

#[doc(hidden)]
pub trait Output {
    type Type;
}

impl<T> Output for fn() -> T {
    type Type = T;
}

impl Ending for Never {
    fn returned(self) -> Returned {
        self
    }
}

impl Ending for ExitCode {
    fn returned(self) -> Returned {
        // The standard library offers no way to read it but this.
        let code = (0..=u8::MAX).find(|code| Self::from(*code) == self);
        Returned::Code(code.unwrap_or(1))
    }
}

impl<T: Ending, E: Into<BoxError>> Ending for Result<T, E> {
    fn returned(self) -> Returned {
        match self {
            Ok(ending) => ending.returned(),
            Err(error) => Returned::Failed(failed(error.into().as_ref())),
        }
    }
}
