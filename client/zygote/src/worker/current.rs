//! What a worker knows of itself.

use mpfork_proto::v1::{StartWay, WorkerId};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::OnceLock;

/// The worker that this process is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Current {
    /// Its id.
    pub id: WorkerId,
    /// Its name; may be empty.
    pub name: String,
    /// How it was made.
    pub way: StartWay,
}

static CURRENT: OnceLock<Current> = OnceLock::new();
static ARGS: OnceLock<Vec<OsString>> = OnceLock::new();

/// The worker that this process is; `None` when it is none.
#[must_use]
pub fn current() -> Option<&'static Current> {
    CURRENT.get()
}

/// The program's arguments, its name first: in a worker that goes on with `main` those it was started
/// with, in any other process those of [`std::env::args_os`].
///
/// In such a worker [`std::env::args`] and [`std::env::args_os`] give the same, but in these cases, of
/// which the worker's exit tells among what was not applied:
///
/// | the program | `std::env::args` gives | `args_os` gives |
/// | --- | --- | --- |
/// | is linked with GNU's C library | the worker's arguments | the same |
/// | so, and there are more than 4,096 beyond the template's | the template's | the worker's |
/// | uses another C library, such as musl | the template's | the worker's |
pub fn args_os() -> impl Iterator<Item = OsString> + use<> {
    let mut own = std::env::args_os();
    let (name, rest) = match ARGS.get() {
        Some(args) => (own.next(), args.clone()),
        None => (own.next(), own.collect()),
    };
    name.into_iter().chain(rest)
}

pub(super) fn set(id: WorkerId, name: String, way: StartWay) {
    // A process becomes a worker once.
    let _ = CURRENT.set(Current { id, name, way });
}

/// Whether this process is a worker that goes on with `main`.
pub(super) fn goes_on_with_main() -> bool {
    ARGS.get().is_some()
}

/// Gives the worker's `main` these arguments; tells what can't be done.
pub(super) fn set_args(args: Vec<Vec<u8>>) -> Option<String> {
    let given = args.len();
    let own = std::env::args_os().skip(1).map(OsString::into_vec);
    let refused = if own.eq(args.iter().cloned()) {
        None
    } else {
        mpfork_sys::arguments::replace(&args).err()
    };
    let _ = ARGS.set(args.into_iter().map(OsString::from_vec).collect());
    refused.map(|error| {
        format!("std::env::args: {given} arguments, but {error}; mpfork::args_os has them")
    })
}
