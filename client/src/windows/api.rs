//! What the parts of the crate have in common here. The API of mpforkd is not on this platform, where
//! this version has no mpforkd.

/// What becomes of a process when its owner, the process that started it, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnOwnerDeath {
    /// It is ended, with all that it has started.
    #[default]
    End,
    /// It goes on.
    Keep,
}
