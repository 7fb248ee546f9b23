//! What a program declares at link time: preloads, functions and hooks.
//!
//! The linker collects the declarations in no particular order; [`order`] gives them one.

mod declared;
pub(crate) mod function;
pub(crate) mod hook;
pub(crate) mod load;
pub(crate) mod order;
mod place;
pub(crate) mod preload;

#[cfg(unix)]
pub(crate) use declared::set_loaded;
pub use declared::{Loaded, declared_env, declared_preloads, loaded};
pub use function::{Function, names as function_names};
pub use hook::{Hook, HookError, HookFn, HookKind};
pub use load::{Load, Progress};
pub use order::OrderError;
pub use place::Place;
pub use preload::{Declaration, Loadable, Preload, PreloadError, PreloadItem};
