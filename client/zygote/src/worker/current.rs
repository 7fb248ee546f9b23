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
pub fn args_os() -> impl Iterator<Item = OsString> + use<> {
    let mut own = std::env::args_os();
    let (name, rest) = match ARGS.get() {
        Some(args) => (own.next(), args.clone()),
        None => (own.next(), own.collect()),
    };
    name.into_iter().chain(rest)
}

pub(super) fn set(id: WorkerId, name: String) {
    // A process becomes a worker once.
    let _ = CURRENT.set(Current {
        id,
        name,
        way: StartWay::Fork,
    });
}

/// Whether this process is a worker that goes on with `main`.
pub(super) fn goes_on_with_main() -> bool {
    ARGS.get().is_some()
}

pub(super) fn set_args(args: Vec<Vec<u8>>) {
    let _ = ARGS.set(args.into_iter().map(OsString::from_vec).collect());
}
