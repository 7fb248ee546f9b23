//! Workers where there is no fork: the program is executed anew for each, with two pipes, and takes its
//! assignment from one of them in [`freeze_support`]. Nothing is preloaded: what a function needs is
//! loaded when it is first used.
//!
//! `std::process::exit` ends a process here without its exit handlers: neither `at_worker_exit!` hooks
//! run then, nor are children joined.

mod freeze;
pub mod stream;
mod worker;

pub use freeze::{FreezeError, Role, freeze_support, was_called};
pub use worker::{Current, args_os, at_end, current};
