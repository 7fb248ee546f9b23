//! Functions registered by name.

use super::place::Place;
use mpfork_sys::entry::Entry;

/// A function that workers can be told to run by its name. Declared by `register!` of the `mpfork`
/// crate, on top of [`register_entry!`](crate::register_entry).
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    entry: Entry,
    place: Place,
}

impl Function {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, entry: Entry, place: Place) -> Self {
        Self { name, entry, place }
    }
}

inventory::collect!(Function);

/// The names of all registered functions, sorted.
#[cfg(unix)]
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = inventory::iter::<Function>()
        .map(|function| function.name)
        .collect();
    names.sort_unstable();
    names
}

/// The function registered under a name, or why there is none.
pub(crate) fn find(name: &str) -> Result<Entry, String> {
    let mut found: Vec<_> = inventory::iter::<Function>()
        .filter(|function| function.name == name)
        .collect();
    found.sort_by_key(|function| function.place);
    match found.as_slice() {
        [] => Err(format!("no function is registered as `{name}`")),
        [function] => Ok(function.entry),
        [first, second, ..] => Err(format!(
            "two functions are registered as `{name}`: {} and {}",
            first.place, second.place
        )),
    }
}
