//! Filling.

use super::content::Filling;
use super::{Shared, SharedError, element_bytes};
use bytemuck::Pod;
use std::fmt;
use std::io::{self, Read, Write};

/// Fills a [`Shared`], from its beginning to its end.
///
/// What is added goes to where it stays, through a small buffer: there is no second copy of it, and nothing
/// grows by copying. Whatever fails leaves what was there before, and can be tried again.
///
/// A builder of bytes is a [`Write`], for what writes itself:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use mpfork::Shared;
/// use std::io::Write as _;
///
/// let mut builder = Shared::<u8>::builder();
/// for word in ["warm", "fork"] {
///     writeln!(builder, "{word}")?;
/// }
/// assert_eq!(&builder.seal()?[..], b"warm\nfork\n");
/// # Ok(())
/// # }
/// ```
///
/// It belongs to the process that made it: one that is forked meanwhile can't go on.
///
/// Python has nothing of the kind: what it shares is filled in place, by anybody.
#[must_use = "it is shared once it is sealed"]
pub struct SharedBuilder<T: Pod> {
    /// The last ones, which are not where they stay yet.
    tail: Vec<T>,
    filling: Filling<T>,
}

/// So much is buffered.
const TAIL_BYTES: usize = 64 << 10;

impl<T: Pod> SharedBuilder<T> {
    /// So many elements are buffered.
    const TAIL: usize = match TAIL_BYTES / element_bytes::<T>() {
        0 => 1,
        many => many,
    };

    /// An empty one.
    pub fn new() -> Self {
        // For what the compiler checks there.
        let _ = element_bytes::<T>();
        Self {
            tail: Vec::new(),
            filling: Filling::new(),
        }
    }

    /// An empty one, for this many elements: when a limit does not allow as many, that is told now, and
    /// not after having loaded the most of them. There may be more or less in the end.
    ///
    /// # Errors
    /// [`SharedError::TooLarge`], and [`SharedError::System`] where the limit of file sizes is lower.
    pub fn with_capacity(elements: usize) -> Result<Self, SharedError> {
        let mut builder = Self::new();
        builder.filling.expect(elements)?;
        Ok(builder)
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filling.len() + self.tail.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`SharedError::System`] when there is no memory for it, a limit is reached, or this process was
    /// forked from the one that fills; [`SharedError::TooLarge`].
    pub fn push(&mut self, element: T) -> Result<(), SharedError> {
        if self.tail.len() >= Self::TAIL {
            self.settle()?;
        }
        self.tail.push(element);
        Ok(())
    }

    /// Adds these.
    ///
    /// # Errors
    /// As [`Self::push`]; none is added then.
    pub fn extend_from_slice(&mut self, elements: &[T]) -> Result<(), SharedError> {
        if self.tail.len() + elements.len() <= Self::TAIL {
            self.tail.extend_from_slice(elements);
            return Ok(());
        }
        self.settle()?;
        self.filling.append(elements)
    }

    /// Adds what this gives.
    ///
    /// # Errors
    /// As [`Self::push`]; those before the one that failed are there.
    pub fn try_extend(&mut self, elements: impl IntoIterator<Item = T>) -> Result<(), SharedError> {
        elements
            .into_iter()
            .try_for_each(|element| self.push(element))
    }

    /// Adds all that this gives to its end: the elements' bytes as this machine has them in memory. How many
    /// elements it was.
    ///
    /// # Errors
    /// [`SharedError::Read`], [`SharedError::Partial`] when what was read ends within an element, and as
    /// [`Self::push`]. Whole blocks that came before are there.
    pub fn read_from(&mut self, mut reader: impl Read) -> Result<usize, SharedError> {
        let before = self.len();
        let mut block = vec![T::zeroed(); Self::TAIL];
        loop {
            let count = fill(&mut reader, bytemuck::cast_slice_mut(&mut block));
            let count = count.map_err(|error| SharedError::Read {
                elements: self.len() - before,
                error,
            })?;
            let (whole, rest) = (count / element_bytes::<T>(), count % element_bytes::<T>());
            if rest > 0 {
                return Err(SharedError::Partial {
                    elements: self.len() - before + whole,
                    rest,
                    size: element_bytes::<T>(),
                });
            }
            self.extend_from_slice(&block[..whole])?;
            if whole < block.len() {
                return Ok(self.len() - before);
            }
        }
    }

    /// Ends the filling: from here on nobody can change it.
    ///
    /// # Errors
    /// As [`Self::push`]; also when there is no free descriptor, or no room to map it.
    pub fn seal(mut self) -> Result<Shared<T>, SharedError> {
        self.settle()?;
        let content = self.filling.seal()?;
        Ok(Shared { content })
    }

    /// Brings what is buffered to where it stays.
    fn settle(&mut self) -> Result<(), SharedError> {
        self.filling.append(&self.tail)?;
        self.tail.clear();
        Ok(())
    }
}

/// Reads until this is full or there is no more: how much it was.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

impl<T: Pod> Default for SharedBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds bytes. [`Shared`] is what they become, so there is nothing to be flushed.
impl Write for SharedBuilder<u8> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Pod> fmt::Debug for SharedBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuilder")
            .field("element", &std::any::type_name::<T>())
            .field("len", &self.len())
            .finish()
    }
}
