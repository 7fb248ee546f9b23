//! The environment variables by which operators override what a program does.

use std::ffi::OsString;

/// The default start method.
pub(crate) const START_METHOD: &str = "MPFORK_START_METHOD";
/// The program that is executed for a program's processes.
pub(crate) const EXECUTABLE: &str = "MPFORK_EXECUTABLE";

/// The value of one; empty is as good as unset.
pub(crate) fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
