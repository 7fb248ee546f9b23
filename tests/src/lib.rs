//! What the tests and benches share that need more than one crate of mpfork.
#![forbid(unsafe_code)]
#![cfg(unix)]

pub mod bench;
pub mod conformance;
pub mod fuzz;
pub mod harness;
pub mod openmetrics;
mod running;
pub mod soak;

/// The README's programs are compiled as examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
