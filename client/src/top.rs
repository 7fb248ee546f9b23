//! The crate's own functions: those of the default context, as `multiprocessing` itself has its default
//! context's methods.

use crate::builder::{CommandBuilder, ProcessBuilder};
use crate::default::get_context;
use crate::ending::Ending;
use crate::error::Error;
use crate::handle::Handle;
use crate::target::{Call, Target};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;

/// A process of the default context that runs a function, to be described further and started:
/// [`Context::process`](crate::Context::process). Mirrors `multiprocessing.Process(target, args)`.
///
/// This fixes the default start method, as all functions do that start something by it. Where there is
/// none, starting the process fails with what [`get_context`] says.
///
/// ```standalone_crate
/// # fn main() -> Result<(), mpfork::Error> {
/// # mpfork::freeze_support();
/// let mut process = mpfork::process(|n: i32| println!("{n}"), 1).start()?;
/// process.join(None)?;
/// # Ok(())
/// # }
/// ```
pub fn process<F, A, M>(function: F, arguments: A) -> ProcessBuilder
where
    F: Target<A, M, Output: Ending>,
    A: Serialize + DeserializeOwned,
{
    match get_context(None) {
        Ok(context) => context.process(function, arguments),
        Err(error) => ProcessBuilder::failed(error),
    }
}

/// A process of the default context that runs a registered function:
/// [`Context::process_registered`](crate::Context::process_registered). Python has no such item.
pub fn process_registered(name: &str, arguments: &(impl Serialize + ?Sized)) -> ProcessBuilder {
    match get_context(None) {
        Ok(context) => context.process_registered(name, arguments),
        Err(error) => ProcessBuilder::failed(error),
    }
}

/// A process of the default context that goes on with the program's own `main`:
/// [`Context::process_main`](crate::Context::process_main). Python has no such item.
pub fn process_main<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> ProcessBuilder {
    match get_context(None) {
        Ok(context) => context.process_main(args),
        Err(error) => ProcessBuilder::failed(error),
    }
}

/// A command of the default context: [`Context::command`](crate::Context::command). In Python that is
/// `subprocess.Popen`.
pub fn command(program: impl AsRef<OsStr>) -> CommandBuilder {
    CommandBuilder::new(get_context(None), program.as_ref().to_owned())
}

/// Calls a function in a worker of the default context, for its result:
/// [`Context::spawn`](crate::Context::spawn). Mirrors `apply_async` of `multiprocessing.Pool`, with a process
/// for this call alone.
///
/// ```standalone_crate
/// # fn main() -> Result<(), mpfork::Error> {
/// # mpfork::freeze_support();
/// assert_eq!(mpfork::spawn(|n: i32| n + 1, 1)?.join()?, 2);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`get_context`] and [`Context::spawn`](crate::Context::spawn).
pub fn spawn<F, A, M>(function: F, arguments: A) -> Result<Handle<F::Value>, Error>
where
    F: Call<A, M>,
    A: Serialize + DeserializeOwned,
{
    get_context(None)?.spawn(function, arguments)
}

/// As [`spawn`], from async code: [`Context::spawn_async`](crate::Context::spawn_async). Python has no async
/// form.
///
/// # Errors
/// As [`spawn`].
pub async fn spawn_async<F, A, M>(function: F, arguments: A) -> Result<Handle<F::Value>, Error>
where
    F: Call<A, M>,
    A: Serialize + DeserializeOwned,
{
    let context = get_context(None)?;
    context.spawn_async(function, arguments).await
}

/// Calls a registered function in a worker of the default context, for its result:
/// [`Context::spawn_registered`](crate::Context::spawn_registered). Mirrors `apply_async` as [`spawn`] does.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_registered<T: DeserializeOwned>(
    name: &str,
    arguments: &(impl Serialize + ?Sized),
) -> Result<Handle<T>, Error> {
    get_context(None)?.spawn_registered(name, arguments)
}

/// As [`spawn_registered`], from async code:
/// [`Context::spawn_registered_async`](crate::Context::spawn_registered_async). Python has no async form.
///
/// # Errors
/// As [`spawn`].
pub async fn spawn_registered_async<T: DeserializeOwned>(
    name: &str,
    arguments: &(impl Serialize + ?Sized),
) -> Result<Handle<T>, Error> {
    let context = get_context(None)?;
    context.spawn_registered_async(name, arguments).await
}
