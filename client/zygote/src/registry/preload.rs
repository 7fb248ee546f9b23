//! Preloads: statics that a zygote loads once, before the first fork, and every worker finds loaded.

use super::load::Progress;
use super::order::{self, Declared, OrderError};
use super::place::Place;
use crate::fault::{BoxError, Fault, attempt};
use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

/// What a preload declares about itself.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    name: &'static str,
    after: &'static [&'static str],
    env: &'static [&'static str],
    time_limit: Option<Duration>,
    place: Place,
}

/// The options of `preload!`, by which its macro calls them; hence constants behind references.
impl Declaration {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, place: Place) -> Self {
        Self {
            name,
            after: &[],
            env: &[],
            time_limit: None,
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

    #[doc(hidden)]
    #[must_use]
    pub const fn env(mut self, env: &'static [&'static str]) -> Self {
        self.env = env;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn time_limit(mut self, limit: &'static Duration) -> Self {
        self.time_limit = Some(*limit);
        self
    }

    pub(crate) fn declared_env(&self) -> &'static [&'static str] {
        self.env
    }

    #[cfg(unix)]
    pub(crate) fn declared_limit(&self) -> Option<Duration> {
        self.time_limit
    }
}

/// Why a preload is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreloadError {
    preload: &'static str,
    fault: Fault,
}

impl PreloadError {
    /// The preload's name.
    #[must_use]
    pub fn preload(&self) -> &'static str {
        self.preload
    }

    /// What went wrong: the load function's error or panic, or a dependency's.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for PreloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "preload `{}`: {}", self.preload, self.fault.line())?;
        match self.fault.location() {
            Some(location) => write!(f, " (at {location})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PreloadError {}

/// A value loaded once for all workers. Declared by `preload!`.
///
/// In a zygote it is loaded before the first fork; in a program started otherwise at first use, by
/// whichever thread comes first, after the preloads it is declared to come after.
///
/// As a reference it gives the value, and panics when the load failed; [`Preload::try_get`] is for
/// the careful.
pub struct Preload<T> {
    declaration: Declaration,
    load: fn(&Progress) -> Result<T, BoxError>,
    value: OnceLock<Result<T, PreloadError>>,
}

thread_local! {
    /// The preloads this thread is loading, outermost first.
    static LOADING: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

impl<T> Preload<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(declaration: Declaration, load: fn(&Progress) -> Result<T, BoxError>) -> Self {
        Self {
            declaration,
            load,
            value: OnceLock::new(),
        }
    }

    /// The value, loaded now if it was not yet.
    ///
    /// # Errors
    /// When the load failed; it is not tried again.
    ///
    /// # Panics
    /// When a load function needs the preload it is loading.
    pub fn try_get(&self) -> Result<&T, &PreloadError> {
        match self.value.get() {
            Some(result) => result.as_ref(),
            None => self.get_or_load(&Progress::silent()),
        }
    }

    /// True once the load was tried.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.value.get().is_some()
    }

    fn get_or_load(&self, progress: &Progress) -> Result<&T, &PreloadError> {
        let name = self.declaration.name;
        LOADING.with_borrow(|loading| {
            // The lock would never open.
            assert!(
                !loading.contains(&name),
                "preload `{name}` is needed by its own load: {} -> {name}",
                loading.join(" -> ")
            );
        });
        // Before the lock is taken, so that no thread holds one while it waits for another.
        let ready = if self.value.get().is_none() {
            load_dependencies(&self.declaration)
        } else {
            Ok(())
        };
        let loaded = self.value.get_or_init(|| {
            let _guard = Loading::enter(name);
            let failed = |fault| PreloadError {
                preload: name,
                fault,
            };
            ready.map_err(failed)?;
            attempt(|| (self.load)(progress)).map_err(failed)
        });
        loaded.as_ref()
    }
}

struct Loading;

impl Loading {
    fn enter(name: &'static str) -> Self {
        LOADING.with_borrow_mut(|loading| loading.push(name));
        Self
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADING.with_borrow_mut(Vec::pop);
    }
}

fn load_dependencies(declaration: &Declaration) -> Result<(), Fault> {
    if declaration.after.is_empty() {
        return Ok(());
    }
    let of_order = |error: OrderError| Fault::of_error(error.to_string(), Vec::new());
    let all = sorted().map_err(of_order)?;
    for item in order::select(&all, declaration.after).map_err(of_order)? {
        if let Err(error) = item.preload.load(&Progress::silent()) {
            return Err(Fault::of_error(
                format!("`{}`, which it comes after, failed", error.preload),
                vec![error.to_string()],
            ));
        }
    }
    Ok(())
}

impl<T> Deref for Preload<T> {
    type Target = T;

    /// A panic is where the value was wanted.
    #[track_caller]
    fn deref(&self) -> &T {
        match self.try_get() {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Preload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preload")
            .field("declaration", &self.declaration)
            .field("value", &self.value.get())
            .finish_non_exhaustive()
    }
}

/// A preload of whatever type.
#[doc(hidden)]
pub trait Loadable: Sync {
    fn declaration(&self) -> &Declaration;
    /// Loads it, unless that was tried before.
    ///
    /// # Errors
    /// When it failed, now or then.
    fn load(&self, progress: &Progress) -> Result<(), &PreloadError>;
}

impl<T: Send + Sync> Loadable for Preload<T> {
    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn load(&self, progress: &Progress) -> Result<(), &PreloadError> {
        self.get_or_load(progress).map(drop)
    }
}

/// A preload in the link-time registry.
#[doc(hidden)]
pub struct PreloadItem {
    pub(crate) preload: &'static dyn Loadable,
}

impl PreloadItem {
    #[must_use]
    pub const fn new(preload: &'static dyn Loadable) -> Self {
        Self { preload }
    }
}

impl fmt::Debug for PreloadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.preload.declaration().fmt(f)
    }
}

inventory::collect!(PreloadItem);

impl Declared for PreloadItem {
    fn name(&self) -> &'static str {
        self.preload.declaration().name
    }

    fn after(&self) -> &'static [&'static str] {
        self.preload.declaration().after
    }

    fn place(&self) -> Place {
        self.preload.declaration().place
    }
}

/// All preloads of the program in load order.
pub(crate) fn sorted() -> Result<Vec<&'static PreloadItem>, OrderError> {
    order::sort(inventory::iter::<PreloadItem>().collect())
}
