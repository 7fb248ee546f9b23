//! What holds for all contexts of the process: the program that is executed, and what its zygotes load.

use crate::api::Program;
use crate::context::Context;
use crate::error::Error;
use crate::overrides;
use mpfork_proto::v1;
use rustix::fs::Access;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is to become of a zygote when one of its preloads fails: `on_error` of Python's
/// `multiprocessing.set_forkserver_preload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnPreloadError {
    /// It serves without it, and nobody is told but workers that use the preload.
    Ignore,
    /// It serves without it, after a warning on its standard error, and in the log of who supervises it.
    Warn,
    /// It does not serve: what starts processes fails with the preload's error.
    #[default]
    Fail,
}

/// Which preloads a zygote loads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Preloads {
    /// All when absent; sorted.
    pub(crate) names: Option<Vec<String>>,
    pub(crate) on_error: OnPreloadError,
}

/// What was set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Settings {
    executable: Option<PathBuf>,
    preloads: Option<Preloads>,
    /// As it is by default when absent.
    compact: Option<bool>,
}

static SETTINGS: Mutex<Settings> = Mutex::new(Settings {
    executable: None,
    preloads: None,
    compact: None,
});

fn settings() -> MutexGuard<'static, Settings> {
    SETTINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the program that is executed for the processes of this one: by spawn for each, by forkserver as
/// the zygote they are forked from. Otherwise it is the one that `MPFORK_EXECUTABLE` names, or else the
/// very file that this program was executed from.
///
/// It is looked at when it is used: a start then fails with [`Error::BadProgram`] when it is missing,
/// not executable, or no program that links mpfork. Functions are found by their place in the program,
/// so it must be the same build of the same program, as a copy is; only functions that it registered
/// under a name ([`register!`](crate::register)), and its `main`, may be another program's.
///
/// Mirrors `multiprocessing.set_executable(path)`.
///
/// ```
/// mpfork::set_executable("/nonexistent/program");
/// ```
pub fn set_executable(path: impl Into<PathBuf>) {
    settings().executable = Some(path.into());
}

/// Chooses, of the preloads that this program declares with [`preload!`](crate::preload), those that
/// its zygotes load, with what they are declared to come after; and what happens when one fails. Unless
/// this is called, all are loaded, and none may fail.
///
/// It holds for what is started from now on. A zygote that runs with another choice goes on to serve
/// others; this program's workers get one of the new choice. A worker begins with the choice of the
/// zygote it was forked from.
///
/// A preload that is left out, or failed, is loaded at its first use in each worker that uses it, or
/// gives its error there: [`Preload::try_get`](crate::Preload::try_get) returns it. A preload that
/// leaves a thread running, does not end within its time limit, or ends the process fails the zygote in
/// any case.
///
/// Mirrors `multiprocessing.set_forkserver_preload(module_names, on_error=...)`, whose default is to
/// ignore errors.
///
/// ```
/// use mpfork::OnPreloadError;
///
/// mpfork::preload! {
///     static WORDS: Vec<String> = Vec::new;
///     name = "words",
/// }
///
/// # fn main() -> Result<(), mpfork::Error> {
/// mpfork::set_forkserver_preload(["words"], OnPreloadError::Warn)?;
/// assert!(mpfork::set_forkserver_preload(["sentences"], OnPreloadError::Warn).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::UnknownPreload`]; nothing is changed then.
pub fn set_forkserver_preload(
    names: impl IntoIterator<Item = impl Into<String>>,
    on_error: OnPreloadError,
) -> Result<(), Error> {
    let declared = mpfork_zygote::declared_preloads();
    let mut chosen: Vec<String> = names.into_iter().map(Into::into).collect();
    if let Some(unknown) = chosen
        .iter()
        .find(|name| !declared.contains(&name.as_str()))
    {
        return Err(Error::UnknownPreload {
            name: unknown.clone(),
            declared: declared.into_iter().map(str::to_owned).collect(),
        });
    }
    chosen.sort_unstable();
    chosen.dedup();
    // All by name are no other choice than all.
    let names = (chosen.len() < declared.len()).then_some(chosen);
    settings().preloads = Some(Preloads { names, on_error });
    Ok(())
}

/// Whether this program's own server moves what it has preloaded into huge pages, so that a fork copies
/// little of it. It does by default. Then its `malloc` asks for huge pages from the start, which workers
/// go on with; each step is left out where the system can't, and none is done for a few megabytes.
///
/// It holds for what is started from now on: a server that runs with the other choice goes on to serve
/// others. How zygotes of mpforkd are made its configuration
/// says: `[compaction]`.
///
/// `multiprocessing` has nothing like it.
///
/// ```
/// mpfork::set_forkserver_compaction(false);
/// ```
pub fn set_forkserver_compaction(on: bool) {
    settings().compact = Some(on);
}

/// Whether it does.
pub(crate) fn compacts() -> bool {
    settings().compact.unwrap_or(true)
}

impl Context {
    /// As [`set_executable`](crate::set_executable), which holds for all contexts of the process.
    pub fn set_executable(&self, path: impl Into<PathBuf>) {
        set_executable(path);
    }

    /// As [`set_forkserver_compaction`](crate::set_forkserver_compaction), which holds for all contexts of
    /// the process.
    pub fn set_forkserver_compaction(&self, on: bool) {
        set_forkserver_compaction(on);
    }

    /// As [`set_forkserver_preload`](crate::set_forkserver_preload), which holds for all contexts of the
    /// process.
    ///
    /// # Errors
    /// [`Error::UnknownPreload`]; nothing is changed then.
    pub fn set_forkserver_preload(
        &self,
        names: impl IntoIterator<Item = impl Into<String>>,
        on_error: OnPreloadError,
    ) -> Result<(), Error> {
        set_forkserver_preload(names, on_error)
    }
}

/// Which preloads this program's zygotes load.
pub(crate) fn preloads() -> Preloads {
    if let Some(set) = settings().preloads.clone() {
        return set;
    }
    let Some(loaded) = mpfork_zygote::loaded() else {
        return Preloads::default();
    };
    Preloads {
        names: (!loaded.all).then_some(loaded.names),
        on_error: loaded.on_error.into(),
    }
}

/// The path of the program that is executed instead of this one, if any is.
pub(crate) fn executable_path() -> Option<PathBuf> {
    let set = settings().executable.clone();
    set.or_else(|| overrides::get(overrides::EXECUTABLE).map(PathBuf::from))
}

/// The program that is executed for the processes of this one, looked at.
pub(crate) fn executable() -> Result<Program, Error> {
    let Some(path) = executable_path() else {
        let own = Program::own()?;
        own.expect_own_marked()?;
        return Ok(own);
    };
    let bad = |why: String| Error::BadProgram {
        program: path.clone(),
        why,
    };
    let program = Program::at(&path).map_err(|error| match error {
        Error::System { error, .. } => bad(error.to_string()),
        other => other,
    })?;
    let is_file = program.is_file();
    if !is_file.map_err(|error| bad(error.to_string()))? {
        return Err(bad("it is no regular file".to_owned()));
    }
    if rustix::fs::access(program.path(), Access::EXEC_OK).is_err() {
        return Err(bad("it is not executable".to_owned()));
    }
    program.expect_marked()?;
    Ok(program)
}

/// As [`executable`], for a function that is found by its place in this program.
pub(crate) fn executable_with_functions() -> Result<Program, Error> {
    let program = executable()?;
    if !program.is_same(&Program::own()?)? {
        return Err(Error::BadProgram {
            program: program.path().to_owned(),
            why: "it is another program than the one that is running, or another build of it, and \
                  a function is found by its place in the program: register it under a name"
                .to_owned(),
        });
    }
    Ok(program)
}

impl From<v1::OnPreloadError> for OnPreloadError {
    fn from(wire: v1::OnPreloadError) -> Self {
        match wire {
            v1::OnPreloadError::Ignore => Self::Ignore,
            v1::OnPreloadError::Warn => Self::Warn,
            v1::OnPreloadError::Fail | v1::OnPreloadError::Unspecified => Self::Fail,
        }
    }
}

impl From<OnPreloadError> for v1::OnPreloadError {
    fn from(on_error: OnPreloadError) -> Self {
        match on_error {
            OnPreloadError::Ignore => Self::Ignore,
            OnPreloadError::Warn => Self::Warn,
            OnPreloadError::Fail => Self::Fail,
        }
    }
}
