//! What the tests and benches share that need more than one crate of mpfork.
#![forbid(unsafe_code)]

pub mod bench;
pub mod harness;
