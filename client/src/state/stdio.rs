//! Standard streams of a worker.

use super::Source;
use crate::error::Error;
use crate::held;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What a worker's standard stream is: like [`std::process::Stdio`], with any descriptor.
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Kept,
    Piped,
    Given(OwnedFd),
}

impl Stdio {
    /// The calling process's own stream; what is used when nothing is said.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// The null device.
    #[must_use]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// Kept by mpforkd, the newest of it: `mpctl logs` shows it. Not for standard input, which is then
    /// the null device.
    #[must_use]
    pub fn kept() -> Self {
        Self(Kind::Kept)
    }

    /// A pipe whose other end the process object holds.
    #[must_use]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.0, Kind::Kept)
    }

    /// The source for the worker's stream `number`; with the caller's end of a pipe.
    pub(crate) fn resolve(self, number: u8) -> Result<(Option<Source>, Option<PipeEnd>), Error> {
        let given = |descriptor: OwnedFd| Some(Source::Given(Arc::new(descriptor)));
        Ok(match self.0 {
            Kind::Inherit => (Some(Source::Own(number)), None),
            Kind::Null | Kind::Kept => (None, None),
            Kind::Given(descriptor) => (given(descriptor), None),
            Kind::Piped => {
                let _held = crate::standard::hold();
                let (reader, writer) =
                    std::io::pipe().map_err(|error| Error::system("making a pipe", error))?;
                if number == 0 {
                    held::note(&writer);
                    (given(reader.into()), Some(PipeEnd::Writer(writer)))
                } else {
                    held::note(&reader);
                    (given(writer.into()), Some(PipeEnd::Reader(reader)))
                }
            }
        })
    }
}

/// The caller's end of a pipe.
#[derive(Debug)]
pub(crate) enum PipeEnd {
    Reader(PipeReader),
    Writer(PipeWriter),
}

impl<T: Into<OwnedFd>> From<T> for Stdio {
    fn from(descriptor: T) -> Self {
        Self(Kind::Given(descriptor.into()))
    }
}
