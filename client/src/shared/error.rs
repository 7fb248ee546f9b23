//! What can go wrong.

use std::io;

/// Why a [`Shared`](crate::Shared) is not made. Python has an `OSError`, or a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// The system refused.
    #[error("{doing}, {bytes} bytes: {error}{remedy}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// With how many bytes, those included that were there.
        bytes: u64,
        /// The system's error.
        #[source]
        error: io::Error,
        /// What can be done about it, when it is a matter of limits: words to follow the error's.
        remedy: &'static str,
    },
    /// No slice is so long.
    #[error("{elements} elements of {size} bytes each are more than a slice can have")]
    TooLarge {
        /// How many there would be.
        elements: usize,
        /// How large each is.
        size: usize,
    },
    /// What was to be read gave an error.
    #[error("reading, after {elements} elements: {error}")]
    Read {
        /// How many were read and added before.
        elements: usize,
        /// The reader's error.
        #[source]
        error: io::Error,
    },
    /// What was read is not made of such elements.
    #[error(
        "{rest} bytes follow {elements} elements of {size} bytes: what was read is something else"
    )]
    Partial {
        /// How many were whole.
        elements: usize,
        /// How many bytes came after them.
        rest: usize,
        /// How large an element is.
        size: usize,
    },
}

/// Of the kind of the system's or the reader's.
impl From<SharedError> for io::Error {
    fn from(error: SharedError) -> Self {
        let kind = match &error {
            SharedError::System { error, .. } | SharedError::Read { error, .. } => error.kind(),
            SharedError::TooLarge { .. } => io::ErrorKind::FileTooLarge,
            SharedError::Partial { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
