//! Large state that is read alone, in memory that all processes share.

mod builder;
#[cfg_attr(windows, path = "../windows/content.rs")]
mod content;
mod error;
mod passing;

pub use builder::SharedBuilder;
pub use error::SharedError;

use bytemuck::Pod;
use content::Content;
use std::fmt;
use std::io::Read;
use std::ops::Deref;

#[doc = include_str!("shared.md")]
#[derive(Clone)]
pub struct Shared<T: Pod> {
    content: Content<T>,
}

/// How large the elements are. Whoever makes a builder, and so any content, has had this checked by the
/// compiler.
const fn element_bytes<T>() -> usize {
    const {
        assert!(
            size_of::<T>() > 0,
            "a type without a size leaves nothing to share"
        );
        assert!(
            align_of::<T>() <= 4096,
            "a type of a greater alignment than a page has can't be shared"
        );
    }
    size_of::<T>()
}

impl<T: Pod> Shared<T> {
    /// A builder, to be filled and [sealed](SharedBuilder::seal).
    pub fn builder() -> SharedBuilder<T> {
        SharedBuilder::new()
    }

    /// A copy of these elements. The builder needs no second place for what is made one by one.
    ///
    /// # Errors
    /// As [`SharedBuilder::seal`].
    pub fn from_slice(elements: &[T]) -> Result<Self, SharedError> {
        let mut builder = Self::builder();
        builder.extend_from_slice(elements)?;
        builder.seal()
    }

    /// All that this gives to its end: the elements' bytes as this machine has them in memory. A file is
    /// read without a second copy of it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mpfork::Shared;
    /// use std::fs::File;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("weights.bin");
    /// # std::fs::write(&path, [0; 40])?;
    /// let weights: Shared<f32> = Shared::from_reader(File::open(path)?)?;
    /// assert_eq!(weights.len(), 10);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`SharedBuilder::read_from`] and [`SharedBuilder::seal`].
    pub fn from_reader(reader: impl Read) -> Result<Self, SharedError> {
        let mut builder = Self::builder();
        builder.read_from(reader)?;
        builder.seal()
    }

    /// The elements; as is what this dereferences to.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.content.as_slice()
    }
}

impl<T: Pod> Deref for Shared<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Pod> AsRef<[T]> for Shared<T> {
    fn as_ref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<'a, T: Pod> IntoIterator for &'a Shared<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}

/// Not the elements, of which there are many.
impl<T: Pod> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("element", &std::any::type_name::<T>())
            .field("len", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
