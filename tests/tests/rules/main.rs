//! The repository's own rules.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

mod contexts;
mod crates;
mod deploy;
mod generated;
mod layout;
mod readme;
mod runbook;
mod security;
mod sources;
mod verbs;
