//! Where it is: in a file without a name, which is mapped.

use super::passing::Named;
use super::{SharedError, element_bytes};
use crate::passing::{self, PassingError};
use bytemuck::Pod;
use mpfork_sys::limits;
use mpfork_sys::mapping::Mapping;
use mpfork_sys::memory_file::Draft;
use rustix::io::Errno;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// What people see of it in lists of open files.
const NAME: &str = "mpfork-shared";

/// What is filled. There is a file once something is written.
pub(super) struct Filling<T> {
    draft: Option<Draft>,
    elements: PhantomData<T>,
}

impl<T: Pod> Filling<T> {
    pub(super) fn new() -> Self {
        Self {
            draft: None,
            elements: PhantomData,
        }
    }

    fn bytes(&self) -> u64 {
        self.draft.as_ref().map_or(0, Draft::length)
    }

    pub(super) fn len(&self) -> usize {
        // `total` has held it to what a slice can have.
        usize::try_from(self.bytes()).unwrap_or(usize::MAX) / element_bytes::<T>()
    }

    /// How many bytes it will be with so many elements more.
    fn total(&self, more: usize) -> Result<u64, SharedError> {
        let elements = self.len().saturating_add(more);
        let bytes = elements.checked_mul(element_bytes::<T>());
        bytes
            .and_then(|bytes| isize::try_from(bytes).ok())
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or(SharedError::TooLarge {
                elements,
                size: element_bytes::<T>(),
            })
    }

    /// Whether there may be so many elements more.
    pub(super) fn expect(&mut self, more: usize) -> Result<(), SharedError> {
        let bytes = self.total(more)?;
        let limit = limits::get(limits::FSIZE).map_err(|error| failed("filling", bytes, error))?;
        if bytes <= limit.soft {
            return Ok(());
        }
        Err(failed("filling", bytes, Errno::FBIG.into()))
    }

    pub(super) fn append(&mut self, elements: &[T]) -> Result<(), SharedError> {
        if elements.is_empty() {
            return Ok(());
        }
        let bytes = self.total(elements.len())?;
        let appended = self
            .draft()
            .and_then(|draft| draft.append(bytemuck::cast_slice(elements)));
        appended.map_err(|error| failed("filling", bytes, error))
    }

    fn draft(&mut self) -> io::Result<&mut Draft> {
        match &mut self.draft {
            Some(draft) => Ok(draft),
            none => Ok(none.insert(Draft::new(NAME)?)),
        }
    }

    pub(super) fn seal(self) -> Result<Content<T>, SharedError> {
        let bytes = self.bytes();
        let draft = self.draft.map_or_else(|| Draft::new(NAME), Ok);
        let mapping = draft.and_then(Mapping::of);
        mapping
            .map(Content::of)
            .map_err(|error| failed("sealing", bytes, error))
    }
}

fn failed(doing: &'static str, bytes: u64, error: io::Error) -> SharedError {
    let remedy = match Errno::from_io_error(&error) {
        Some(Errno::FBIG) => {
            "; the limit of file sizes (RLIMIT_FSIZE, `ulimit -f`) holds for shared memory too: raise it"
        }
        Some(Errno::NOMEM | Errno::NOSPC | Errno::DQUOT) => {
            "; no memory is left for it, or a limit allows no more (RLIMIT_AS, the cgroup's, overcommit)"
        }
        Some(Errno::MFILE | Errno::NFILE) => "; raise the limit of open files (`ulimit -n`)",
        _ => "",
    };
    SharedError::System {
        doing,
        bytes,
        error,
        remedy,
    }
}

/// What is sealed. Its copies are the same one.
pub(super) struct Content<T> {
    mapping: Arc<Mapping>,
    elements: PhantomData<Arc<[T]>>,
}

impl<T> Clone for Content<T> {
    fn clone(&self) -> Self {
        Self {
            mapping: Arc::clone(&self.mapping),
            elements: PhantomData,
        }
    }
}

impl<T: Pod> Content<T> {
    fn of(mapping: Mapping) -> Self {
        Self {
            mapping: Arc::new(mapping),
            elements: PhantomData,
        }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        // It begins at a page, to which no element is aligned more, and is made of whole elements.
        bytemuck::cast_slice(self.mapping.bytes())
    }

    /// Collects its descriptor, to be passed with what is being written: what stands for it there. None
    /// where its bytes must be passed themselves.
    pub(super) fn pass(&self) -> Result<Option<Named>, PassingError> {
        let Some(file) = self.mapping.file() else {
            return Ok(None);
        };
        Ok(Some(Named {
            index: passing::collect(file)?,
            bytes: self.mapping.bytes().len() as u64,
            element: element_bytes::<T>() as u64,
        }))
    }

    /// What this names among the descriptors that came with what is being read.
    pub(super) fn passed(named: &Named) -> Result<Self, PassedError> {
        let (Named { bytes, element, .. }, own) = (named, element_bytes::<T>() as u64);
        if *element != own || bytes % own != 0 {
            return Err(PassedError::Elements {
                bytes: *bytes,
                element: *element,
                own,
            });
        }
        let file = passing::take(named.index)?;
        Ok(Self::of(Mapping::received(file, *bytes)?))
    }
}

/// Why what was passed is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassedError {
    #[error(transparent)]
    Descriptor(#[from] PassingError),
    #[error("shared memory of {bytes} bytes in elements of {element} is none of elements of {own}")]
    Elements { bytes: u64, element: u64, own: u64 },
    #[error("shared memory that was passed: {0}")]
    Mapping(#[from] io::Error),
}
