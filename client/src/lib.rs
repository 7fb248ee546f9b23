//! Python's `multiprocessing` model for Rust, on warm worker processes.
//!
//! `mpforkd` keeps a *zygote* of your program: a process that has already loaded what the program
//! needs. A call to [`Context::spawn`] or [`Context::process`] has it fork a worker, which finds
//! everything loaded, runs one function, and ends. That takes a fraction of a millisecond, however
//! long the loading took.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! mpfork::preload! {
//!     static STOP_WORDS: Vec<String> = load_stop_words;
//! }
//!
//! fn load_stop_words() -> std::io::Result<Vec<String>> {
//!     let text = std::fs::read_to_string("/usr/share/stop-words")?;
//!     Ok(text.lines().map(str::to_owned).collect())
//! }
//!
//! fn count(text: String) -> usize {
//!     let words = text.split_whitespace();
//!     words.filter(|word| !STOP_WORDS.iter().any(|stop| stop == word)).count()
//! }
//!
//! fn work(n: i32, text: String) {
//!     println!("{n} {text}");
//! }
//!
//! fn main() -> Result<(), mpfork::Error> {
//!     mpfork::freeze_support();
//!     let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
//!     let total = ctx.spawn(count, "to be or not".to_owned())?.join()?;
//!     let mut p = ctx.process(work, (1, "two".to_string())).name("w1").start()?;
//!     p.join(Some(Duration::from_secs(5)))?;
//!     assert_eq!(p.exitcode(), Some(0));
//!     Ok(())
//! }
//! ```
//!
//! # What a worker starts with
//!
//! A worker is forked from the zygote, but starts as if your program had executed it: with its
//! working directory, environment, standard streams, limits, and so on. The builders
//! ([`ProcessBuilder`], [`CommandBuilder`]) change parts of that. It belongs to a process group of
//! its own, and is ended when your program is killed before it has ended, unless it was started
//! otherwise.
//!
//! # Functions
//!
//! A function is found in the worker by its place in the program: worker and caller are the same
//! executable file. So it must be a plain function or a closure without captures; what it needs goes
//! into its arguments. See [`Target`] for arguments, [`Outcome`] for results and [`Ending`] for exit
//! codes. The zygote was executed from the very file your program was: rebuilding it while it runs
//! does no harm.
//!
//! # Preloads and hooks
//!
//! [`preload!`] declares what the zygote loads, [`before_fork!`], [`after_fork!`] and
//! [`at_worker_exit!`] what runs around workers.
//!
//! # Threads and async
//!
//! The crate adds no thread to your program; its blocking calls drive what little there is to drive,
//! and may be made from any thread, even from async code (where they block the thread). The async
//! forms ([`Context::spawn_async`], [`ProcessBuilder::start_async`], [`Process::join_async`],
//! [`Handle::join_async`]) live in the tokio runtime that awaits them, which must have I/O and time
//! enabled.
//!
//! Where descriptors do not pass between the program and mpforkd, as through a relay of bytes, it does
//! add some: threads then relay each worker's standard streams. [`Server::descriptors`] tells. A worker
//! whose output nobody reads any more is not told then, by SIGPIPE or a write that fails: what it writes
//! is dropped, and it goes on until it is ended.
//!
//! # Where the start methods differ
//!
//! The conformance suite runs every test by each of them, and by a forkserver with and without mpforkd.
//! They are alike but for this:
//!
#![doc = include_str!("differences.md")]
//!
//! # Finding mpforkd
//!
//! The socket is the one given to [`Context::with_socket`]; else `$MPFORKD_SOCKET`; else the first of
//! `$XDG_RUNTIME_DIR/mpforkd/mpforkd.sock`, `mpforkd-UID/mpforkd.sock` in the temporary folder, and
//! `/run/mpforkd/mpforkd.sock`. Where none answers, [`Error::NoServer`] says what was tried.
//!
//! # Start methods and contexts
//!
//! [`get_context`] gives the context of a start method, or with `None` the default context, whose
//! functions the crate also has itself: [`spawn`], [`process`], [`command`] and so on. The default is
//! fixed by its first use, or before that by [`set_start_method`]; [`get_all_start_methods`] lists what
//! the platform has.
//!
//! # Processes of this process
//!
//! [`active_children`] are the processes that were started and have not ended. Before the program ends
//! it waits for them, after it has asked the daemonic ones to end. [`current_process`] and
//! [`parent_process`] tell who a process is and who started it.
//!
//! # Environment overrides
//!
//! What a program leaves open its operator may say, in the environment. A variable that is empty is as
//! good as unset; one that says what can't be is an error where it is used.
//!
//! | variable | what it is |
//! | --- | --- |
//! | `MPFORK_START_METHOD` | the default start method, where the program sets none: one of the platform's |
//! | `MPFORK_EXECUTABLE` | the program that zygotes and processes are executed from, where the program sets none |
//! | `MPFORK_SERVER` | which server start method `forkserver` uses, where the program does not say: `any`, `mpforkd` or `embedded` |
//! | `MPFORKD_SOCKET` | the socket of mpforkd, where the program names none |
#![forbid(unsafe_code)]

#[cfg_attr(windows, path = "windows/api.rs")]
pub mod api;
#[cfg_attr(windows, path = "windows/builder.rs")]
mod builder;
mod children;
mod codec;
#[cfg_attr(windows, path = "windows/context.rs")]
mod context;
mod current;
mod default;
mod ending;
mod error;
mod exit;
#[cfg_attr(windows, path = "windows/freeze.rs")]
mod freeze;
#[cfg_attr(windows, path = "windows/handle.rs")]
mod handle;
mod macros;
mod method;
#[cfg_attr(windows, path = "windows/options.rs")]
mod options;
mod outcome;
mod overrides;
#[cfg_attr(windows, path = "windows/parcel.rs")]
mod parcel;
#[cfg_attr(windows, path = "windows/parent.rs")]
mod parent;
mod platform;
#[cfg_attr(windows, path = "windows/process.rs")]
mod process;
#[cfg_attr(windows, path = "windows/sentinel.rs")]
mod sentinel;
#[cfg_attr(windows, path = "windows/settings.rs")]
mod settings;
mod target;
mod top;
#[cfg_attr(windows, path = "windows/worker.rs")]
mod worker;
mod wrap;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod assign;
        mod call;
        mod embedded;
        mod fd;
        mod held;
        mod here;
        mod passing;
        mod random;
        mod remote;
        mod runtime;
        mod server;
        mod session;
        mod spawn;
        mod standard;
        mod state;

        pub use fd::Fd;
        pub use mpfork_sys::fork::DespiteThreads;
        pub use server::{Server, ServerChoice, ServerKind};
        pub use settings::{OnPreloadError, set_forkserver_preload};
        pub use state::{StartState, Stdio};
    } else {
        pub use options::Stdio;
    }
}

/// The messages of the API.
pub use mpfork_proto::v1 as proto;

pub use api::OnOwnerDeath;
pub use builder::{CommandBuilder, ProcessBuilder};
pub use children::{active_children, cpu_count};
pub use context::Context;
pub use current::{CurrentProcess, current_process};
pub use default::{get_context, get_start_method, set_start_method};
pub use ending::Ending;
pub use error::{Attempt, Error, NoServer, WorkerError};
pub use exit::{Exit, Failure, FailureKind};
pub use freeze::freeze_support;
pub use handle::Handle;
pub use method::{StartMethod, UnknownStartMethod, get_all_start_methods};
/// Calls [`freeze_support`] first thing in `main`. For an async `main` it goes above the attribute of
/// the runtime, whose threads a zygote must not have.
///
/// ```
/// #[mpfork::main]
/// #[tokio::main]
/// async fn main() -> Result<(), mpfork::Error> {
///     // ...
///     Ok(())
/// }
/// ```
///
/// Without a runtime an async `main` is refused:
/// ```compile_fail
/// #[mpfork::main]
/// async fn main() {}
/// ```
pub use mpfork_macros::main;
pub use mpfork_proto::problem::Problem;
pub use mpfork_proto::reason::Reason;
pub use mpfork_proto::v1::WorkerId;
pub use mpfork_zygote::{
    Preload, PreloadError, Progress, after_fork, args_os, at_worker_exit, before_fork, preload,
};
pub use outcome::{Fallible, Outcome, Plain};
pub use parent::{ParentProcess, parent_process};
pub use process::Process;
pub use settings::set_executable;
pub use target::{Call, Single, Spread, Target};
pub use top::{
    command, process, process_main, process_registered, spawn, spawn_async, spawn_registered,
};
pub use wrap::{Failing, Typed, Wrapped, fallible, typed};

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::freeze::{TestSupport, freeze_in_test};
    pub use crate::overrides::OVERRIDES;
    pub use crate::target::run_registered;
    pub use inventory;
    pub use mpfork_zygote::register_entry;
}
