//! Descriptors within arguments and results.

use crate::passing;
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeStruct as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file, a socket, an end of a pipe, anything with a descriptor, as a part of a call's arguments or of
/// its result: the worker, or the caller, gets a descriptor of its own of the same open file.
///
/// It may be anywhere in them, in fields, lists and enums. What it holds is any type that is made of an
/// [`OwnedFd`] and lends its descriptor, such as [`File`](std::fs::File),
/// [`UnixStream`](std::os::unix::net::UnixStream), [`TcpListener`](std::net::TcpListener),
/// [`PipeReader`](std::io::PipeReader) and [`OwnedFd`] itself; both sides should name the same.
///
/// ```standalone_crate
/// use mpfork::Fd;
/// use std::fs::File;
/// use std::io::Read as _;
///
/// fn length(Fd(mut file): Fd<File>) -> std::io::Result<usize> {
///     file.read_to_end(&mut Vec::new())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # mpfork::freeze_support();
/// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
/// let file = File::open("Cargo.toml")?;
/// let length = ctx.spawn(length, Fd(file))?.join()?;
/// # Ok(())
/// # }
/// ```
///
/// At most 250 go with one call's arguments, and as many with its result. Everywhere else than in those,
/// as in a JSON text, writing or reading one is an error; so it is where descriptors do not pass between
/// the program and mpforkd ([`Server::descriptors`](crate::Server::descriptors)).
///
/// Where a worker is to have a descriptor under a number of its own, there is
/// [`ProcessBuilder::pass_fd`](crate::ProcessBuilder::pass_fd).
///
/// Mirrors what `multiprocessing.reduction` does for connections and sockets, and its `DupFd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fd<T = OwnedFd>(pub T);

/// What stands for it among the bytes. Not a bare number, which an untagged enum could take for one.
const NAME: &str = "Fd";
const FIELD: &str = "mpfork descriptor";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "mpfork descriptor")]
    index: u32,
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = passing::collect(self.0.as_fd()).map_err(S::Error::custom)?;
        let mut named = serializer.serialize_struct(NAME, 1)?;
        named.serialize_field(FIELD, &index)?;
        named.end()
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = Named::deserialize(deserializer)?;
        let descriptor = passing::take(named.index).map_err(D::Error::custom)?;
        Ok(Self(descriptor.into()))
    }
}

impl<T> From<T> for Fd<T> {
    fn from(held: T) -> Self {
        Self(held)
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> AsFd for Fd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: fmt::Display> fmt::Display for Fd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
