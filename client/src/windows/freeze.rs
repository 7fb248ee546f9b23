//! The door of a program that starts workers.

use crate::context::Context;
use crate::error::Error;

/// To be called first thing in `main`, by every program that starts workers.
///
/// The program is executed once more for each worker: in that process this call does not return, it
/// runs the worker's function. In a worker that was asked to go on with `main` it returns. In a program
/// started as any other it only notes that it was called.
///
/// Mirrors `multiprocessing.freeze_support()`.
pub fn freeze_support() {
    if let Err(error) = mpfork_zygote::freeze_support() {
        eprintln!("mpfork: {error}");
        #[allow(clippy::exit)] // there is no caller who could do anything
        std::process::exit(1);
    }
}

impl Context {
    /// As [`freeze_support`](crate::freeze_support), which holds for all contexts of the process. It is to
    /// be called first thing in `main`: nothing may come before but the making of the context.
    pub fn freeze_support(&self) {
        freeze_support();
    }
}

/// A test binary that starts workers. In the link-time registry.
#[doc(hidden)]
#[derive(Debug)]
pub struct TestSupport {
    _module: &'static str,
}

inventory::collect!(TestSupport);

impl TestSupport {
    #[must_use]
    pub const fn new(module: &'static str) -> Self {
        Self { _module: module }
    }
}

/// What [`test_support!`](crate::test_support)'s test does: nothing here, as a test binary can't be a
/// worker. Starts from one fail with [`Error::NotFrozen`].
#[doc(hidden)]
pub fn freeze_in_test() {}

/// Whether this program can be executed as a worker.
pub(crate) fn check() -> Result<(), Error> {
    if mpfork_zygote::was_called() {
        Ok(())
    } else {
        Err(Error::NotFrozen)
    }
}
