//! Hooks: the program's code around forks.

use super::load::form::{Fallible, Plain};
use super::order::{self, Declared, OrderError};
use super::place::Place;
use crate::fault::{BoxError, Fault, attempt};
use std::fmt;
use std::sync::OnceLock;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// In the zygote, once: when all is preloaded, before the first fork.
    AfterPreload,
    /// In the zygote, before each fork.
    BeforeFork,
    /// In each worker that goes on in the program, before its task.
    AfterFork,
    /// In each worker that went on in the program, when it ends in order.
    AtWorkerExit,
}

/// A hook. Declared by `after_preload!`, `before_fork!`, `after_fork!` and `at_worker_exit!`.
#[derive(Debug)]
pub struct Hook {
    kind: HookKind,
    name: &'static str,
    after: &'static [&'static str],
    run: fn() -> Result<(), BoxError>,
    place: Place,
}

impl Hook {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(
        kind: HookKind,
        name: &'static str,
        run: fn() -> Result<(), BoxError>,
        place: Place,
    ) -> Self {
        Self {
            kind,
            name,
            after: &[],
            run,
            place,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn name(mut self, name: &'static &'static str) -> Self {
        self.name = name;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn after(mut self, after: &'static [&'static str]) -> Self {
        self.after = after;
        self
    }
}

inventory::collect!(Hook);

impl Declared for Hook {
    fn name(&self) -> &'static str {
        self.name
    }

    fn after(&self) -> &'static [&'static str] {
        self.after
    }

    fn place(&self) -> Place {
        self.place
    }
}

/// A function that can be a hook: `fn()` or `fn() -> Result<(), E>`. `Form` only tells these apart.
pub trait HookFn<Form> {
    /// Calls the function.
    ///
    /// # Errors
    /// What the function returns.
    fn run(&self) -> Result<(), BoxError>;
}

impl<F: Fn()> HookFn<Plain> for F {
    fn run(&self) -> Result<(), BoxError> {
        self();
        Ok(())
    }
}

impl<E: Into<BoxError>, F: Fn() -> Result<(), E>> HookFn<Fallible<E>> for F {
    fn run(&self) -> Result<(), BoxError> {
        self().map_err(Into::into)
    }
}

/// A hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookError {
    hook: &'static str,
    fault: Fault,
}

impl HookError {
    /// The hook's name.
    #[must_use]
    pub fn hook(&self) -> &'static str {
        self.hook
    }

    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The fault with the hook's name in its message.
    pub(crate) fn named(&self) -> Fault {
        self.fault.with_prefix(&format!("hook `{}`: ", self.hook))
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook `{}`: {}", self.hook, self.fault)
    }
}

impl std::error::Error for HookError {}

/// The program's hooks, each kind in order.
#[derive(Debug)]
pub(crate) struct Hooks {
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is preloaded"))]
    pub(crate) after_preload: Vec<&'static Hook>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing forks"))]
    pub(crate) before_fork: Vec<&'static Hook>,
    pub(crate) after_fork: Vec<&'static Hook>,
    pub(crate) at_worker_exit: Vec<&'static Hook>,
}

/// The program's hooks, sorted once.
pub(crate) fn all() -> Result<&'static Hooks, OrderError> {
    static HOOKS: OnceLock<Result<Hooks, OrderError>> = OnceLock::new();
    HOOKS
        .get_or_init(|| {
            let sorted = |kind| {
                order::sort(
                    inventory::iter::<Hook>()
                        .filter(|hook| hook.kind == kind)
                        .collect(),
                )
            };
            Ok(Hooks {
                after_preload: sorted(HookKind::AfterPreload)?,
                before_fork: sorted(HookKind::BeforeFork)?,
                after_fork: sorted(HookKind::AfterFork)?,
                at_worker_exit: sorted(HookKind::AtWorkerExit)?,
            })
        })
        .as_ref()
        .map_err(Clone::clone)
}

/// Runs a hook.
pub(crate) fn run(hook: &Hook) -> Result<(), HookError> {
    attempt(hook.run).map_err(|fault| HookError {
        hook: hook.name,
        fault,
    })
}
