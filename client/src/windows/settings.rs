//! What holds for all contexts of the process: the program that is executed.

use crate::context::Context;
use crate::error::Error;
use crate::overrides;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

static EXECUTABLE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Sets the program that is executed for the processes of this one. Otherwise it is the one that
/// `MPFORK_EXECUTABLE` names, or else this very program.
///
/// It is looked at when it is used: a start then fails with [`Error::BadProgram`] when it is missing or
/// does not call [`freeze_support`](crate::freeze_support). Functions are found by their place in the
/// program, so it must be the same build of the same program; only functions that it registered under a
/// name, and its `main`, may be another program's.
///
/// Mirrors `multiprocessing.set_executable(path)`.
pub fn set_executable(path: impl Into<PathBuf>) {
    *EXECUTABLE.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.into());
}

impl Context {
    /// As [`set_executable`](crate::set_executable), which holds for all contexts of the process.
    pub fn set_executable(&self, path: impl Into<PathBuf>) {
        set_executable(path);
    }
}

/// The program to execute.
pub(crate) fn executable() -> Result<PathBuf, Error> {
    let set = EXECUTABLE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let named = set.or_else(|| overrides::get(overrides::EXECUTABLE).map(PathBuf::from));
    match named {
        Some(program) if program.is_file() => Ok(program),
        Some(program) => Err(Error::BadProgram {
            program,
            why: "there is no such file".to_owned(),
        }),
        None => std::env::current_exe()
            .map_err(|error| Error::system("finding this program's path", error)),
    }
}
