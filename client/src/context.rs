//! Contexts: where everything starts.

use crate::api::{Function, Task};
use crate::builder::{CommandBuilder, ProcessBuilder};
use crate::call;
use crate::default::Chosen;
use crate::ending::Ending;
use crate::error::Error;
use crate::parent;
use crate::server::ServerChoice;
use crate::target::{Target, exit_record};
use mpfork_sys::fork::DespiteThreads;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// An object bound to one start method; every operation hangs on it. Cheap to clone, usable from any
/// thread.
///
/// Mirrors what `multiprocessing.get_context(method)` returns.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) chosen: Chosen,
    socket: Option<Arc<Path>>,
    server: Option<ServerChoice>,
    despite_threads: Option<DespiteThreads>,
}

impl Context {
    pub(crate) fn new(chosen: Chosen) -> Self {
        Self {
            chosen,
            socket: None,
            server: None,
            despite_threads: None,
        }
    }

    /// The same with mpforkd at this socket, instead of the first one found: it stands for
    /// [`ServerChoice::Mpforkd`], too.
    #[must_use]
    pub fn with_socket(mut self, socket: impl AsRef<Path>) -> Self {
        self.socket = Some(Arc::from(socket.as_ref()));
        self.with_server(ServerChoice::Mpforkd)
    }

    /// The same with this server, where its start method is `forkserver`; it makes no difference to
    /// others. Without, the operator's `MPFORK_SERVER` says which, else [`ServerChoice::Any`].
    #[must_use]
    pub fn with_server(mut self, server: ServerChoice) -> Self {
        self.server = Some(server);
        self
    }

    /// The same where, by start method `fork`, this process may be forked while it has threads, for which
    /// somebody takes the responsibility: [`DespiteThreads::new`], which is `unsafe`. Without, it is
    /// [`Error::HasThreads`].
    ///
    /// Python's `fork` does so always, and warns.
    #[must_use]
    pub fn with_threads(mut self, responsible: DespiteThreads) -> Self {
        self.despite_threads = Some(responsible);
        self
    }

    pub(crate) fn server_choice(&self) -> Option<ServerChoice> {
        self.server
    }

    pub(crate) fn despite_threads(&self) -> Option<DespiteThreads> {
        self.despite_threads
    }

    /// The socket of the mpforkd to use, when it is known which: the one that was named, or the one that
    /// made this worker, whose own starts go there too.
    pub(crate) fn socket(&self) -> Option<Arc<Path>> {
        self.socket.clone().or_else(parent::server_socket)
    }

    /// A process that runs a function, to be described further and started. Mirrors
    /// `Process(target=function, args=arguments)`.
    ///
    /// ```standalone_crate
    /// use std::time::Duration;
    ///
    /// fn work(n: i32, text: String) {}
    ///
    /// # fn main() -> Result<(), mpfork::Error> {
    /// # mpfork::freeze_support();
    /// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    /// let mut p = ctx.process(work, (1, "two".to_string())).name("w1").start()?;
    /// p.join(Some(Duration::from_secs(60)))?;
    /// assert_eq!(p.exitcode(), Some(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn process<F, A, M>(&self, function: F, arguments: A) -> ProcessBuilder
    where
        F: Target<A, M, Output: Ending>,
        A: Serialize + DeserializeOwned,
    {
        let function = call::function_of(exit_record::<F, A, M>(function));
        self.builder(function, &arguments)
    }

    /// A process that runs a function that this program registered under a name with
    /// [`register!`](crate::register). Python has no names of functions but those by which it pickles them.
    pub fn process_registered(
        &self,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> ProcessBuilder {
        self.builder(Ok(Function::Name(name.to_owned())), arguments)
    }

    fn builder(
        &self,
        function: Result<Function, Error>,
        arguments: &(impl Serialize + ?Sized),
    ) -> ProcessBuilder {
        // The channel's own end is not needed once large arguments lie in it.
        let task = function.and_then(|function| call::task(function, arguments, false));
        ProcessBuilder::new(self.clone(), task.map(|(task, _)| task))
    }

    /// A process that goes on with the program's own `main`, with the name this process was executed
    /// by and these arguments: [`freeze_support`](crate::freeze_support) returns in it, and
    /// [`std::env::args`] gives them; see [`args_os`](crate::args_os) for where it can't. Not by start
    /// method `fork`, where starting it is [`Error::Unsupported`]. Python has no such item: its `spawn`
    /// imports the main module in every process, guarded by `__name__`.
    pub fn process_main<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> ProcessBuilder {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        let task = Task::Main {
            args: args.collect(),
            arg0: crate::args_os().next(),
        };
        ProcessBuilder::new(self.clone(), Ok(task))
    }

    /// A command, to be described further and started: any program, executed in a worker, like
    /// [`std::process::Command`]. It shares none of the program's memory, whatever the start method, and
    /// `forkserver` through mpforkd takes a zygote for it that has loaded nothing.
    ///
    /// Python has its `subprocess` for that.
    ///
    /// ```standalone_crate
    /// # fn main() -> Result<(), mpfork::Error> {
    /// # mpfork::freeze_support();
    /// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
    /// let mut ls = ctx.command("ls").arg("-l").start()?;
    /// ls.join(None)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn command(&self, program: impl AsRef<OsStr>) -> CommandBuilder {
        CommandBuilder::new(Ok(self.clone()), program.as_ref().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get_context;
    use crate::method::StartMethod;

    #[test]
    fn contexts_are_shared_freely() {
        fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
        shared(&get_context(StartMethod::Spawn).unwrap());
    }

    #[test]
    fn a_context_stays_bound_to_its_start_method() {
        for method in crate::get_all_start_methods() {
            let ctx = get_context(*method).unwrap();
            assert_eq!(ctx.start_method(), *method);
            assert!(ctx.asked_by_name());
            for allow_none in [false, true] {
                assert_eq!(ctx.get_start_method(allow_none), Some(*method));
            }
            for (other, force) in [(None, true), (Some(*method), false)] {
                let error = ctx.set_start_method(other, force).unwrap_err();
                assert!(matches!(error, Error::ConcreteContext { .. }), "{error}");
            }
            assert_eq!(ctx.get_context(None).unwrap().start_method(), *method);
            let other = ctx.get_context(StartMethod::Spawn).unwrap();
            assert_eq!(other.start_method(), StartMethod::Spawn);
        }
    }

    #[test]
    fn a_start_without_freeze_support_fails_before_anything_is_launched() {
        // There is no daemon at this socket, and it is not even looked for.
        let ctx = get_context(StartMethod::ForkServer).unwrap();
        let ctx = ctx.with_socket("/nonexistent/socket");
        let spawned = ctx.spawn(|n: u8| n, 1).unwrap_err();
        assert!(matches!(spawned, Error::NotFrozen));
        let started = ctx.process(|_: u8| (), 1).start().unwrap_err();
        assert!(matches!(started, Error::NotFrozen));
        // By fork nothing is executed: it gets as far as finding that tests have threads.
        let forked = get_context(StartMethod::Fork).unwrap();
        let forked = forked.spawn(|n: u8| n, 1).unwrap_err();
        assert!(matches!(forked, Error::HasThreads { .. }), "{forked}");
        let command = ctx.command("true").start().unwrap_err();
        assert!(matches!(command, Error::NoServer(_)));
    }
}
