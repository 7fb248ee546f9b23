//! What the program declares, for those who register it as a template.

use super::preload::PreloadItem;

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
