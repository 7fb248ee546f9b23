#![doc = include_str!("front/start.md")]
#![doc = include_str!("front/methods.md")]
#![doc = include_str!("front/freeze.md")]
#![doc = include_str!("front/preloads.md")]
#![doc = include_str!("front/shared.md")]
#![doc = include_str!("front/contexts.md")]
#![doc = include_str!("front/servers.md")]
#![doc = include_str!("front/processes.md")]
#![doc = include_str!("front/testing.md")]
#![doc = include_str!("front/python.md")]
//! # Where the start methods differ
//!
//! A suite of tests runs everything by each of them, and by `forkserver` with and without mpforkd. They are
//! alike but for this:
//!
#![doc = include_str!("differences.md")]
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
mod bound;
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
mod shared;
mod target;
mod top;
#[cfg_attr(windows, path = "windows/worker.rs")]
mod worker;
mod wrap;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod assign;
        mod call;
        mod driven;
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
        mod untold;

        pub use fd::Fd;
        pub use mpfork_sys::fork::DespiteThreads;
        pub use server::{Server, ServerChoice, ServerKind, server};
        pub use settings::{OnPreloadError, set_forkserver_compaction, set_forkserver_preload};
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
    Preload, PreloadError, Progress, after_fork, after_preload, args_os, at_worker_exit,
    before_fork, preload,
};
pub use outcome::{Fallible, Outcome, Plain};
pub use parent::{ParentProcess, parent_process};
pub use process::Process;
pub use settings::set_executable;
pub use shared::{Shared, SharedBuilder, SharedError};
pub use target::{Call, Single, Spread, Target};
pub use top::{
    command, process, process_main, process_registered, spawn, spawn_async, spawn_registered,
    spawn_registered_async,
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
