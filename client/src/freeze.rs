//! The door of a program that starts workers, and the same for tests.

use crate::context::Context;
use crate::error::Error;
use crate::method::StartMethod;
use mpfork_proto::link::{LINK_ENV, WORKER_ENV};
use mpfork_sys::fork::{Forked, fork_beside_sleeping_main};
use std::ffi::OsString;

/// To be called first thing in `main`, by every program that starts workers.
///
/// The program is executed once more, by mpforkd or by itself, to be a *zygote*: in that process this
/// call does not return, it loads the program's preloads and forks workers. By start method `spawn` it is
/// executed for each worker, where the call does not return either. Only in a worker that was asked to go
/// on with `main` ([`process_main`](crate::process_main)) it returns, and [`std::env::args`] gives the
/// worker's arguments (see [`args_os`](crate::args_os)). In a program started as any other it returns at
/// once; that it was called is noted, as without it nothing can be started by `forkserver` and `spawn`
/// ([`Error::NotFrozen`](crate::Error::NotFrozen)).
///
/// Mirrors `multiprocessing.freeze_support()`, which only programs need that were made executables of
/// their own. [`#[mpfork::main]`](crate::main) calls it ahead of an async `main`'s runtime.
///
/// When the process was to become a zygote or a worker and can't, because it has threads already, who
/// executed it is told, and gets an error that names the threads; the process ends with 1.
///
/// ```
/// fn main() {
///     mpfork::freeze_support();
///     // ...
/// }
/// ```
#[allow(clippy::needless_doctest_main)]
pub fn freeze_support() {
    if let Err(error) = mpfork_zygote::freeze_support() {
        eprintln!("mpfork: {error}");
        // There is no caller who could do anything: mpforkd has started this process to be a zygote.
        #[allow(clippy::exit)]
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

/// A test binary whose workers are forked from itself. In the link-time registry.
#[doc(hidden)]
#[derive(Debug)]
pub struct TestSupport {
    module: &'static str,
}

inventory::collect!(TestSupport);

impl TestSupport {
    #[must_use]
    pub const fn new(module: &'static str) -> Self {
        Self { module }
    }

    /// The test's name as the test harness knows it: its path without the crate.
    fn test_name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{TEST}"),
            None => TEST.to_owned(),
        }
    }
}

const TEST: &str = "mpfork_test_support";

fn test_support() -> Option<&'static TestSupport> {
    inventory::iter::<TestSupport>().min_by_key(|support| support.module)
}

/// What [`test_support!`](crate::test_support)'s test does. The harness runs every test in a thread
/// of its own, and a process with threads can't be a zygote, nor a worker. So a child of this one, which
/// has this thread alone, becomes it, and this process ends as the child does.
#[doc(hidden)]
pub fn freeze_in_test() {
    let socket = [LINK_ENV, WORKER_ENV]
        .into_iter()
        .find_map(std::env::var_os);
    let Some(socket) = socket else {
        return;
    };
    // Whoever executed this process sees it, not the child: when it ends before its time, so must this
    // one. Where the system offers nothing, the child finds out by its socket.
    let _ = mpfork_sys::own_process::end_with_parent(true);
    match fork_beside_sleeping_main() {
        Ok(Forked::Child) => {
            if std::env::var_os(WORKER_ENV).is_some() {
                let _ = mpfork_sys::own_process::die_with_parent(true);
            }
            freeze_support();
            eprintln!("mpfork: a test binary has no main for a worker to go on with");
            leave(1)
        }
        Ok(Forked::Parent(child)) => {
            // The child's end of the socket is the only one that counts.
            drop(mpfork_sys::descriptors::adopt_named(&socket));
            end_as(child)
        }
        Err(error) => {
            eprintln!("mpfork: the test binary can't be a zygote: {error}");
            leave(1)
        }
    }
}

/// The process was executed for nothing else.
fn leave(code: i32) -> ! {
    #[allow(clippy::exit)]
    std::process::exit(code)
}

/// Ends as this child does.
fn end_as(child: i32) -> ! {
    use rustix::process::{Pid, Signal, WaitOptions, waitpid};
    let wait = || waitpid(Pid::from_raw(child), WaitOptions::empty());
    let Ok(Some((_, status))) = rustix::io::retry_on_intr(wait) else {
        leave(1);
    };
    if let Some(number) = status.terminating_signal() {
        let _ = mpfork_sys::signals::set_by_number(number, false);
        if let Some(signal) = Signal::from_named_raw(number) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
    }
    leave(status.exit_status().unwrap_or(1))
}

/// Whether this program can be executed as a zygote.
pub(crate) fn check() -> Result<(), Error> {
    if mpfork_zygote::was_called() || test_support().is_some() {
        Ok(())
    } else {
        Err(Error::NotFrozen)
    }
}

/// Whether workers can be had of this program by this start method: all but `fork` execute it.
pub(crate) fn check_for(method: StartMethod) -> Result<(), Error> {
    match method {
        StartMethod::Fork => Ok(()),
        StartMethod::ForkServer | StartMethod::Spawn => check(),
    }
}

/// The arguments with which this program becomes a zygote: those that have a test binary run one test.
pub(crate) fn template_args() -> Vec<OsString> {
    let Some(support) = test_support() else {
        return Vec::new();
    };
    let name = support.test_name();
    let args = [&name, "--exact", "--nocapture", "--test-threads=1"];
    args.map(OsString::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_did_not_call_it_is_refused() {
        assert!(matches!(check(), Err(Error::NotFrozen)));
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            assert!(matches!(check_for(method), Err(Error::NotFrozen)));
        }
        // Which executes nothing.
        assert!(check_for(StartMethod::Fork).is_ok());
    }

    #[test]
    fn the_test_is_named_as_the_harness_names_it() {
        let name = |module| TestSupport::new(module).test_name();
        assert_eq!(name("my_crate"), "mpfork_test_support");
        assert_eq!(name("my_crate::tests"), "tests::mpfork_test_support");
    }
}
