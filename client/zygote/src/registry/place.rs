//! Where something was declared.

use std::cmp::Ordering;
use std::fmt;

/// The place of a declaration in the source. Places are ordered by crate, file, line and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    module: &'static str,
    file: &'static str,
    line: u32,
    column: u32,
}

impl Place {
    /// For macros: from `module_path!()`, `file!()`, `line!()` and `column!()`.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(module: &'static str, file: &'static str, line: u32, column: u32) -> Self {
        Self {
            module,
            file,
            line,
            column,
        }
    }

    /// The crate's name.
    #[must_use]
    pub fn crate_name(&self) -> &'static str {
        self.module
            .split_once("::")
            .map_or(self.module, |(first, _)| first)
    }

    fn key(&self) -> (&'static str, &'static str, u32, u32) {
        (self.crate_name(), self.file, self.line, self.column)
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
