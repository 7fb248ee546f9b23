//! The settings of a process, and its standard streams.

use crate::api::OnOwnerDeath;
use crate::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, BorrowedHandle, OwnedHandle};
use std::path::PathBuf;
use std::time::Duration;

/// What a worker's standard stream is: like [`std::process::Stdio`], with any handle.
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    Given(OwnedHandle),
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

    /// A pipe whose other end the process object holds.
    #[must_use]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }
}

impl<T: Into<OwnedHandle>> From<T> for Stdio {
    fn from(handle: T) -> Self {
        Self(Kind::Given(handle.into()))
    }
}

/// A process that is being described.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) stdio: [Option<Stdio>; 3],
    pub(crate) name: Option<String>,
    pub(crate) daemon: bool,
    pub(crate) on_owner_death: OnOwnerDeath,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) detached: bool,
    pub(crate) directory: Option<PathBuf>,
    /// Changes in order: without a name all are removed, without a value one.
    pub(crate) environment: Vec<(Option<OsString>, Option<OsString>)>,
}

/// The caller's ends of a worker's standard streams.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

impl Options {
    /// The worker's streams, and the caller's ends of its pipes.
    pub(crate) fn streams(&mut self) -> Result<([Option<OwnedHandle>; 3], Pipes), Error> {
        let failed = |error| Error::system("making a worker's standard streams", error);
        let mut pipes = Pipes::default();
        let mut streams = [None, None, None];
        for (number, stdio) in self.stdio.iter_mut().enumerate() {
            let stdio = stdio.take().unwrap_or_else(Stdio::inherit);
            streams[number] = match stdio.0 {
                Kind::Inherit => own(number).map_err(failed)?,
                Kind::Null => {
                    let null = File::options().read(true).write(true).open("NUL");
                    Some(null.map_err(failed)?.into())
                }
                Kind::Given(handle) => Some(handle),
                Kind::Piped => {
                    let (reader, writer) = io::pipe().map_err(failed)?;
                    match number {
                        0 => {
                            pipes.stdin = Some(writer);
                            Some(reader.into())
                        }
                        1 => {
                            pipes.stdout = Some(reader);
                            Some(writer.into())
                        }
                        _ => {
                            pipes.stderr = Some(reader);
                            Some(writer.into())
                        }
                    }
                }
            };
        }
        Ok((streams, pipes))
    }

    /// The worker's whole environment, by name, and this variable.
    pub(crate) fn variables(&self, more: (&str, String)) -> Vec<(OsString, OsString)> {
        let mut all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let own = (Some(more.0.into()), Some(more.1.into()));
        for (name, value) in self.environment.iter().chain([&own]) {
            let Some(name) = name else {
                all.clear();
                continue;
            };
            all.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if let Some(value) = value {
                all.push((name.clone(), value.clone()));
            }
        }
        all.sort_by_key(|(name, _)| name.to_ascii_uppercase());
        all
    }
}

/// A copy of this process's own stream; none where it has none.
fn own(number: usize) -> io::Result<Option<OwnedHandle>> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let handle: BorrowedHandle<'_> = match number {
        0 => input.as_handle(),
        1 => output.as_handle(),
        _ => errors.as_handle(),
    };
    if handle.as_raw_handle().is_null() {
        return Ok(None);
    }
    handle.try_clone_to_owned().map(Some)
}
