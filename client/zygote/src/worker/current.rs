//! What a worker knows of itself.

use mpfork_proto::v1::{Parent, StartWay, WorkerId};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    /// Who started it.
    pub parent: Option<Parent>,
}

/// A worker that forks itself makes another one: what was known of the first is leaked, once for each
/// generation.
static CURRENT: Mutex<Option<&'static Current>> = Mutex::new(None);
static MAIN: OnceLock<Arguments> = OnceLock::new();
static DOOR: Mutex<Option<Arc<OwnedFd>>> = Mutex::new(None);

/// What a worker's `main` was started with.
#[derive(Debug)]
struct Arguments {
    /// Absent: the name its zygote was executed with.
    name: Option<OsString>,
    rest: Vec<OsString>,
}

/// The worker that this process is; `None` when it is none.
#[must_use]
pub fn current() -> Option<&'static Current> {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program's arguments, its name first: in a worker that goes on with `main` those it was started
/// with, in any other process those of [`std::env::args_os`].
///
/// In such a worker [`std::env::args`] and [`std::env::args_os`] give the same, name included, but in
/// these cases, of which the worker's exit tells among what was not applied:
///
/// | the program | `std::env::args` gives | `args_os` gives |
/// | --- | --- | --- |
/// | is linked with GNU's C library | the worker's arguments | the same |
/// | so, and there are more than 4,096 beyond the template's | the template's | the worker's |
/// | so, and the template's environment nearly fills what the system takes | the template's | the worker's |
/// | uses another C library, such as musl | the template's | the worker's |
pub fn args_os() -> impl Iterator<Item = OsString> + use<> {
    let mut own = std::env::args_os();
    let name = own.next();
    let (name, rest) = match MAIN.get() {
        Some(main) => (main.name.clone().or(name), main.rest.clone()),
        None => (name, own.collect()),
    };
    name.into_iter().chain(rest)
}

pub(super) fn set(current: Current) {
    let current: &Current = Box::leak(Box::new(current));
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
}

/// The door of this process's zygote, where that is a program's own: what is sent over it is how a
/// process gets a link of its own.
#[must_use]
pub fn door() -> Option<Arc<OwnedFd>> {
    DOOR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

pub(super) fn keep_door(door: Option<OwnedFd>) {
    // One that was forked by a worker keeps that worker's.
    if let Some(door) = door {
        *DOOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(door));
    }
}

/// Whether this process is a worker that goes on with `main`.
pub(super) fn goes_on_with_main() -> bool {
    MAIN.get().is_some()
}

/// Gives the worker's `main` these arguments; tells what can't be done.
pub(super) fn set_args(name: Option<Vec<u8>>, args: Vec<Vec<u8>>) -> Option<String> {
    let given = args.len();
    let mut own = std::env::args_os().map(OsString::into_vec);
    let own_name = own.next();
    let renamed = name.is_some() && name != own_name;
    let refused = if !renamed && own.eq(args.iter().cloned()) {
        None
    } else {
        mpfork_sys::arguments::replace(name.as_deref(), &args).err()
    };
    let _ = MAIN.set(Arguments {
        name: name.map(OsString::from_vec),
        rest: args.into_iter().map(OsString::from_vec).collect(),
    });
    refused.map(|error| {
        let name = if renamed {
            "the program's name and "
        } else {
            ""
        };
        format!("std::env::args: {name}{given} arguments, but {error}; mpfork::args_os has them")
    })
}
