//! Calls: functions run in workers for their results.

use crate::api::{Function, StartState};
use crate::call;
use crate::context::Context;
use crate::error::Error;
use crate::freeze;
use crate::handle::Handle;
use crate::options::Options;
use crate::process::Described;
use crate::target::{Call, call_record};
use crate::worker::Place;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::unix::net::UnixStream;

impl Context {
    /// Calls a function in a worker, for its result.
    ///
    /// Mirrors `apply_async` of `multiprocessing.Pool`, with a process for this call alone.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), mpfork::Error> {
    /// # mpfork::freeze_support();
    /// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    /// let handle = ctx.spawn(|text: String| text.len(), "four".to_owned())?;
    /// assert_eq!(handle.join()?, 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A closure that captures something is refused:
    /// ```compile_fail
    /// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer).unwrap();
    /// let more = 1;
    /// ctx.spawn(move |n: i32| n + more, 1).unwrap();
    /// ```
    /// as is a pointer to a function:
    /// ```compile_fail
    /// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer).unwrap();
    /// let pointer: fn(i32) -> i32 = |n| n;
    /// ctx.spawn(pointer, 1).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFrozen`], but by `fork`; [`Error::Daemonic`] in a process with the daemon flag; [`Error::Encode`];
    /// [`Error::NoServer`] where mpforkd is demanded; by `fork` [`Error::HasThreads`] and
    /// [`Error::Unsupported`]. Whatever else keeps a worker from being started, a preload that failed
    /// included, is [`Error::Server`], by whichever start method and server.
    pub fn spawn<F, A, M>(&self, function: F, arguments: A) -> Result<Handle<F::Value>, Error>
    where
        F: Call<A, M>,
        A: Serialize + DeserializeOwned,
    {
        let (described, channel) = self.called::<F, A, M>(function, &arguments)?;
        Ok(Handle::new(described.start_blocking()?, channel, F::TYPED))
    }

    /// As [`Self::spawn`], from async code. Once the request is on its way, dropping the future does
    /// not take it back. Python has no async form.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn spawn_async<F, A, M>(
        &self,
        function: F,
        arguments: A,
    ) -> Result<Handle<F::Value>, Error>
    where
        F: Call<A, M>,
        A: Serialize + DeserializeOwned,
    {
        let (described, channel) = self.called::<F, A, M>(function, &arguments)?;
        drop(arguments);
        Ok(Handle::new(described.start().await?, channel, F::TYPED))
    }

    fn called<F, A, M>(&self, function: F, arguments: &A) -> Result<(Described, UnixStream), Error>
    where
        F: Call<A, M>,
        A: Serialize + DeserializeOwned,
    {
        freeze::check_for(self.start_method())?;
        let record = call_record::<F, A, M>(function);
        let name = shown_name(std::any::type_name::<F>());
        self.described(call::function_of(record)?, name, arguments)
    }

    /// Calls a function that this program registered under a name with
    /// [`register!`](crate::register), for its result.
    ///
    /// Python has no names of functions but those by which it pickles them.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_registered<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Handle<T>, Error> {
        let (described, channel) = self.called_by_name(name, arguments)?;
        Ok(Handle::new(described.start_blocking()?, channel, false))
    }

    /// As [`Self::spawn_registered`], from async code. Once the request is on its way, dropping the
    /// future does not take it back. Python has no async form.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn spawn_registered_async<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Handle<T>, Error> {
        let (described, channel) = self.called_by_name(name, arguments)?;
        Ok(Handle::new(described.start().await?, channel, false))
    }

    fn called_by_name(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<(Described, UnixStream), Error> {
        freeze::check_for(self.start_method())?;
        let function = Function::Name(name.to_owned());
        self.described(function, shown_name(name), arguments)
    }

    fn described(
        &self,
        function: Function,
        name: String,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<(Described, UnixStream), Error> {
        let (task, channel) = call::task(function, arguments, true)?;
        let channel = channel.ok_or_else(|| {
            let error = std::io::Error::other("it was not made");
            Error::system("making a channel for a worker", error)
        })?;
        let mut options = Options::new(StartState::capture());
        options.name = Some(name);
        let mut described = Described::new(self.clone(), options, Place::OwnTemplate, task)?;
        described.keeps(&channel);
        Ok((described, channel))
    }
}

/// A function's name as lists show it: no longer than names may be, and rather its end.
fn shown_name(name: &str) -> String {
    const MOST: usize = 256;
    let excess = name.len().saturating_sub(MOST);
    let from = (excess..name.len()).find(|at| name.is_char_boundary(*at));
    name[from.unwrap_or(0)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_names_fit() {
        assert_eq!(shown_name("a::b"), "a::b");
        assert_eq!(shown_name(""), "");
        let long = format!("{}::end", "é".repeat(200));
        let shown = shown_name(&long);
        assert!(shown.len() <= 256 && shown.ends_with("::end"));
    }
}
