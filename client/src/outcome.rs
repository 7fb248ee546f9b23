//! What a function called by [`Context::spawn`](crate::Context::spawn) may return.

use crate::codec::EncodeError;
use crate::parcel;
use mpfork_sys::entry::{Failed, FailedKind, Returned};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;

/// The boxed error that every error of a worker's function turns into.
pub(crate) type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A return type whose value travels back to the caller.
///
/// | the function returns | [`Value`](Self::Value) is |
/// | --- | --- |
/// | `T`, any `Serialize + DeserializeOwned` type | `T` |
/// | `Result<T, E>` with `E` an error, `anyhow::Error`, a boxed error | `T`; an `Err` ends the worker with exit code 1 and arrives as [`Error::Worker`](crate::Error::Worker) |
///
/// `M` tells the two apart and is inferred. It can't be where both apply, that is for a
/// `Result<T, E>` whose `E` is an error *and* can itself be serialized, such as a string: the
/// compiler then asks for type annotations. Say which is meant by wrapping the function in
/// [`fallible`](crate::fallible) or [`typed`](crate::typed).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't travel from a worker to its caller",
    note = "results must implement `Serialize` and `DeserializeOwned`, or be a `Result` of such a \
            type with an error that converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait Outcome<M> {
    /// What arrives at the caller.
    type Value: DeserializeOwned;
    /// Encodes it in the worker.
    #[doc(hidden)]
    fn returned(self) -> Returned;
}

/// Marks an outcome that is a value. Inferred; see [`Outcome`].
#[derive(Debug)]
pub struct Plain;

/// Marks an outcome that may be an error. Inferred; see [`Outcome`].
#[derive(Debug)]
pub struct Fallible;

impl<T: Serialize + DeserializeOwned> Outcome<Plain> for T {
    type Value = T;
    fn returned(self) -> Returned {
        value(&self)
    }
}

impl<T, E> Outcome<Fallible> for Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: Into<BoxError>,
{
    type Value = T;
    fn returned(self) -> Returned {
        match self {
            Ok(result) => value(&result),
            Err(error) => Returned::Failed(failed(error.into().as_ref())),
        }
    }
}

pub(crate) fn value(result: &impl Serialize) -> Returned {
    match parcel::encode_result(result) {
        Ok(bytes) => Returned::Value(bytes),
        Err(error) => unencodable(&error),
    }
}

pub(crate) fn unencodable(error: &EncodeError) -> Returned {
    Returned::Failed(Failed {
        kind: FailedKind::Result,
        message: error.to_string(),
        chain: Vec::new(),
        value: None,
    })
}

/// An error with the texts of its sources.
pub(crate) fn failed(error: &(dyn Error + 'static)) -> Failed {
    let mut chain = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    Failed {
        kind: FailedKind::Error,
        message: error.to_string(),
        chain,
        value: None,
    }
}
