//! The crate `mpfork` as programs use it, against the real daemon. This test binary is itself the
//! program that workers are forked from, but for what needs a process of its own: that is in
//! `test-user`.
#![allow(clippy::unwrap_used)]

mod calls;
mod children;
mod commands;
mod common;
mod daemon;
mod edges;
mod owner;
mod preloads;
mod process;
mod relayed;
mod runtimes;
mod settings;
mod start_methods;
mod start_state;
mod user;
mod without_fork;

/// In a module, as in the unit tests of most crates.
mod support {
    mpfork::test_support!();
}
