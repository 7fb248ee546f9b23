//! The single-threaded world of mpfork: a program that calls [`freeze_support`] first thing in `main`
//! can be executed as a *zygote*, which loads the program's preloads once, serves its supervisor over
//! the link, and forks workers that find everything loaded.
//!
//! Programs use this through the `mpfork` crate, which re-exports what they need; `mpforkd` uses
//! [`serve_if_asked`] to be the zygote of plain commands.
//!
//! # What a fork shares
//!
//! A worker is a copy of its zygote. mpfork keeps no random state itself; what a program keeps it must
//! reseed in an [`after_fork!`] hook where equal states would be wrong. What no library can reseed:
//! the keys of the standard library's hash maps (`RandomState` counts up from keys drawn once for a
//! thread: maps of different workers hash alike), and the thread generator of `rand` when a preload
//! has used it (`rand::rng().reseed()` in a hook).
//!
//! A worker that ends by `std::process::exit` runs no exit handler that was registered before the fork,
//! but the C library first drops what the main thread's thread-locals hold, a preload's values too:
//! what removes or closes something when dropped belongs in a static, not there.
#![forbid(unsafe_code)]

mod fault;
mod macros;
mod panics;
mod registry;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod compact;
        mod freeze;
        mod fresh;
        pub mod groups;
        mod here;
        pub mod passed;
        pub mod payload;
        mod serve;
        mod wire;
        mod worker;

        pub use freeze::{FreezeError, Role, freeze_support, serve_if_asked, was_called};
        pub use here::{ForkHereError, Forking, expect_alone, fork_here};
        pub use serve::rusage;
        #[doc(hidden)]
        pub use worker::at_end;
        pub use worker::{Current, args_os, current, door};
    } else {
        mod windows;

        pub use windows::{
            Current, FreezeError, Role, args_os, at_end, current, freeze_support, stream, was_called,
        };
    }
}

pub use fault::{BoxError, Fault};
pub use mpfork_sys::entry::{Entry, Failed, FailedKind, Returned};
pub use registry::function_names;
pub use registry::{
    HookError, Load, Loaded, OrderError, Preload, PreloadError, Progress, declared_env,
    declared_preloads, loaded,
};

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::registry::{
        Declaration, Function, Hook, HookFn, HookKind, Loadable, Place, PreloadItem,
    };
    pub use inventory;
}
