//! Contexts: where everything starts.

use crate::builder::{CommandBuilder, ProcessBuilder};
use crate::codec;
use crate::default::Chosen;
use crate::ending::Ending;
use crate::error::Error;
use crate::handle::Handle;
use crate::target::{Call, Target, call_record, exit_record};
use crate::worker::Task;
use mpfork_proto::link::assigned_task;
use mpfork_sys::entry::{Record, offset_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;

/// The longest name of a process.
const LONGEST_NAME: usize = 256;

/// An object bound to one start method; every operation hangs on it. Cheap to clone, usable from any
/// thread.
///
/// Mirrors what `multiprocessing.get_context(method)` returns.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) chosen: Chosen,
}

impl Context {
    pub(crate) fn new(chosen: Chosen) -> Self {
        Self { chosen }
    }

    /// A process that runs a function, to be described further and started. Mirrors
    /// `Process(target=function, args=arguments)`.
    pub fn process<F, A, M>(&self, function: F, arguments: A) -> ProcessBuilder
    where
        F: Target<A, M, Output: Ending>,
        A: Serialize + DeserializeOwned,
    {
        let target = place_of(exit_record::<F, A, M>(function));
        ProcessBuilder::new(target.and_then(|target| task(target, &arguments)))
    }

    /// A process that runs a function that this program registered under a name with
    /// [`register!`](crate::register).
    pub fn process_registered(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> ProcessBuilder {
        ProcessBuilder::new(task(named(name), arguments))
    }

    /// A process that goes on with the program's own `main`, with the name this process was executed
    /// by and these arguments: [`freeze_support`](crate::freeze_support) returns in it.
    pub fn process_main<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> ProcessBuilder {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        ProcessBuilder::new(Ok(Task::Main {
            args: args.collect(),
        }))
    }

    /// A command. This version has none on Windows: its start fails with [`Error::Unsupported`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> CommandBuilder {
        CommandBuilder::new(Ok(self.clone()), program.as_ref().to_owned())
    }

    /// Calls a function in a worker, for its result.
    ///
    /// # Errors
    /// [`Error::NotFrozen`], [`Error::BadProgram`], [`Error::Encode`].
    pub fn spawn<F, A, M>(&self, function: F, arguments: A) -> Result<Handle<F::Value>, Error>
    where
        F: Call<A, M>,
        A: Serialize + DeserializeOwned,
    {
        let target = place_of(call_record::<F, A, M>(function))?;
        let name = shown_name(std::any::type_name::<F>());
        let builder = ProcessBuilder::new(task(target, &arguments)).named(name);
        Ok(Handle::new(builder.start()?, F::TYPED))
    }

    /// As [`Self::spawn`], from async code: it blocks the thread until the worker has begun.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    #[allow(clippy::unused_async)] // as on other platforms
    pub async fn spawn_async<F, A, M>(
        &self,
        function: F,
        arguments: A,
    ) -> Result<Handle<F::Value>, Error>
    where
        F: Call<A, M>,
        A: Serialize + DeserializeOwned,
    {
        self.spawn(function, arguments)
    }

    /// Calls a function that this program registered under a name with
    /// [`register!`](crate::register), for its result.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_registered<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Handle<T>, Error> {
        let builder = ProcessBuilder::new(task(named(name), arguments)).named(shown_name(name));
        Ok(Handle::new(builder.start()?, false))
    }

    /// As [`Self::spawn_registered`], from async code: it blocks the thread until the worker has begun.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    #[allow(clippy::unused_async)] // as on other platforms
    pub async fn spawn_registered_async<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Handle<T>, Error> {
        self.spawn_registered(name, arguments)
    }
}

fn place_of(record: &'static Record) -> Result<assigned_task::function::Target, Error> {
    let offset = offset_of(record).ok_or(Error::ForeignFunction)?;
    Ok(assigned_task::function::Target::Offset(offset))
}

fn named(name: &str) -> assigned_task::function::Target {
    assigned_task::function::Target::Name(name.to_owned())
}

fn task(
    target: assigned_task::function::Target,
    arguments: &(impl Serialize + ?Sized),
) -> Result<Task, Error> {
    let argument = codec::encode(arguments).map_err(|error| Error::Encode(error.to_string()))?;
    Ok(Task::Function { target, argument })
}

/// A function's name as lists show it: no longer than names may be, and rather its end.
fn shown_name(name: &str) -> String {
    let excess = name.len().saturating_sub(LONGEST_NAME);
    let from = (excess..name.len()).find(|at| name.is_char_boundary(*at));
    name[from.unwrap_or(0)..].to_owned()
}
