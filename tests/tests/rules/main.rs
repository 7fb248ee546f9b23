//! The repository's own rules.
#![forbid(unsafe_code)]

mod crates;
mod layout;
mod readme;
mod sources;
mod verbs;
