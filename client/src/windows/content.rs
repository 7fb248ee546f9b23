//! Where it is: in ordinary memory.

use super::passing::Named;
use super::{SharedError, element_bytes};
use bytemuck::Pod;
use std::io;
use std::sync::Arc;

/// What is filled.
pub(super) struct Filling<T> {
    elements: Vec<T>,
}

impl<T: Pod> Filling<T> {
    pub(super) fn new() -> Self {
        Self {
            elements: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Makes room for so many elements more.
    pub(super) fn expect(&mut self, more: usize) -> Result<(), SharedError> {
        let elements = self.len().saturating_add(more);
        let size = element_bytes::<T>();
        let bytes = elements
            .checked_mul(size)
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or(SharedError::TooLarge { elements, size })?;
        let reserved = self.elements.try_reserve(more);
        reserved.map_err(|error| SharedError::System {
            doing: "filling",
            bytes: bytes as u64,
            error: io::Error::new(io::ErrorKind::OutOfMemory, error),
            remedy: "; no memory is left for it",
        })
    }

    pub(super) fn append(&mut self, elements: &[T]) -> Result<(), SharedError> {
        self.expect(elements.len())?;
        self.elements.extend_from_slice(elements);
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)] // other systems can fail
    pub(super) fn seal(self) -> Result<Content<T>, SharedError> {
        Ok(Content {
            elements: Arc::new(self.elements),
        })
    }
}

/// What is sealed. Its copies are the same one.
pub(super) struct Content<T> {
    elements: Arc<Vec<T>>,
}

impl<T> Clone for Content<T> {
    fn clone(&self) -> Self {
        Self {
            elements: Arc::clone(&self.elements),
        }
    }
}

impl<T: Pod> Content<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &self.elements
    }

    /// Its bytes must be passed themselves.
    #[allow(clippy::unnecessary_wraps)] // other systems can fail
    pub(super) fn pass(&self) -> Result<Option<Named>, &'static str> {
        Ok(None)
    }

    pub(super) fn passed(_named: &Named) -> Result<Self, &'static str> {
        Err("no descriptors pass between processes here")
    }
}
