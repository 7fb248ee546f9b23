//! The real daemon as a process, clients for it, and a frame around each test that notices what is
//! left behind.
//!
//! ```no_run
//! use mpfork_tests::harness::{Setup, check, spec};
//!
//! check(Setup::new(), async |daemon| {
//!     let client = daemon.connect().await;
//!     let exit = client.exit_of(spec::shell("exit 3")).await;
//!     assert_eq!(exit.exitcode(), 3);
//! });
//! ```
#![allow(clippy::unwrap_used)] // A test may panic.

pub mod another_user;
pub mod attach;
pub mod cgroup;
mod client;
mod daemon;
mod frame;
pub mod keeper;
pub mod kept;
pub mod leaks;
pub mod privileges;
pub mod process;
pub mod programs;
pub mod python;
pub mod refusal;
pub mod relay;
mod seed;
pub mod spec;
pub mod wait;

pub use client::{Run, TestClient, Workers, template};
pub use daemon::{Daemon, Ended, Folder, Setup, open_to_everybody, spares_always};
pub use frame::{block_on, check, is_root, skip_unless_root};
pub use refusal::{refused, refused_field};
pub use seed::{rounds, seed};
pub use wait::{LIMIT, eventually, eventually_async};
