//! mpforkd: keeps templates warm — processes that have already loaded what a program needs — and
//! forks a worker from one whenever a client asks.
//!
//! One thread runs everything: API calls are checked at the edge (`worker::request`), a template's
//! state machine (`template`) finds or launches a zygote, the zygote's link (`zygote`) is asked
//! for a worker, and one reaper (`children`) collects what ends.
#![forbid(unsafe_code)]
#![cfg(unix)]

mod calls;
#[doc(hidden)]
pub mod checks;
mod children;
mod cli;
pub mod config;
mod convert;
mod daemon;
mod drain;
mod events;
pub mod features;
mod health;
mod kept;
mod listen;
mod logging;
mod metrics;
mod peers;
mod pressure;
mod processes;
mod reload;
mod run;
mod serve;
mod service;
mod settings;
mod shutdown;
mod template;
mod verbs;
mod worker;
mod zygote;

pub use listen::ListenError;
pub use run::{command, main_impl};

/// For people: in the handshake and the version.
pub const NAME_AND_VERSION: &str = concat!("mpforkd ", env!("CARGO_PKG_VERSION"));
