//! Deaths at random points under load. `MPFORK_TEST_SEED` repeats a run's choices as far as the machine
//! does, `MPFORK_TEST_ROUNDS` makes it longer.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

mod daemon;
mod load;
mod others;
