//! What the program declares, for those who register it as a template.

use super::order::Declared;
use super::preload::{PreloadItem, sorted};
use mpfork_proto::v1::OnPreloadError;
use std::sync::OnceLock;

/// The names of the program's preloads in load order; as they come where there is none, which a zygote
/// will tell.
#[must_use]
pub fn declared_preloads() -> Vec<&'static str> {
    let items = sorted().unwrap_or_else(|_| inventory::iter::<PreloadItem>().collect());
    items.into_iter().map(Declared::name).collect()
}

/// What the zygote that this process is, or was forked from, was asked to load.
#[must_use]
pub fn loaded() -> Option<Loaded> {
    LOADED.get().cloned()
}

/// Which preloads a zygote was asked to load.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// By name, unless `all`.
    pub names: Vec<String>,
    /// All of the program's.
    pub all: bool,
    /// What becomes of the zygote when one fails.
    pub on_error: OnPreloadError,
}

static LOADED: OnceLock<Loaded> = OnceLock::new();

#[cfg(unix)]
pub(crate) fn set_loaded(loaded: Loaded) {
    // A process becomes a zygote once.
    let _ = LOADED.set(loaded);
}

/// The environment variables that the program's preloads read, sorted.
#[must_use]
pub fn declared_env() -> Vec<&'static str> {
    let mut names: Vec<_> = inventory::iter::<PreloadItem>()
        .flat_map(|item| item.preload.declaration().declared_env())
        .copied()
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
