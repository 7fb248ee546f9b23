//! The environment variables by which operators say what a program does not.

use mpfork_transport::search::SOCKET_ENV;
use std::ffi::OsString;

/// The default start method.
pub(crate) const START_METHOD: &str = "MPFORK_START_METHOD";
/// The program that is executed for a program's processes.
pub(crate) const EXECUTABLE: &str = "MPFORK_EXECUTABLE";

/// Which server start method `forkserver` uses.
pub(crate) const SERVER: &str = "MPFORK_SERVER";

/// All that the crate reads, with what each is, for the tables in the crate's documentation and in the
/// README.
#[doc(hidden)]
pub const OVERRIDES: &[(&str, &str)] = &[
    (
        START_METHOD,
        "the default start method, where the program sets none: one of the platform's",
    ),
    (
        EXECUTABLE,
        "the program that zygotes and processes are executed from, where the program sets none",
    ),
    (
        SERVER,
        "which server start method `forkserver` uses, where the program does not say: `any`, `mpforkd` or \
         `embedded`",
    ),
    (
        SOCKET_ENV,
        "the socket of mpforkd, where the program names none",
    ),
];

/// The value of one; empty is as good as unset.
pub(crate) fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
