//! Saying what a function's error is to be, where the compiler can't tell or something else is wanted.

use crate::outcome::{Fallible, Outcome, unencodable, value};
use crate::parcel;
use crate::target::{Call, Target};
use mpfork_sys::entry::{Failed, FailedKind, Returned};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A function whose error arrives at the caller with its own type. Made by [`typed`].
#[derive(Debug, Clone, Copy)]
pub struct Typed<F>(F);

/// Has a function's `Err` arrive with its type: the value of the call is the whole `Result`.
///
/// The worker still ends with exit code 1 and prints the error. The error must implement
/// `Serialize`, `DeserializeOwned` and `Display`.
///
/// ```standalone_crate
/// fn parse(text: String) -> Result<i32, String> {
///     text.parse().map_err(|_| format!("{text:?} is no number"))
/// }
/// # fn main() -> Result<(), mpfork::Error> {
/// # mpfork::freeze_support();
/// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
/// let result: Result<i32, String> = ctx.spawn(mpfork::typed(parse), "x".to_owned())?.join()?;
/// assert_eq!(result, Err("\"x\" is no number".to_owned()));
/// # Ok(())
/// # }
/// ```
pub const fn typed<F: Copy>(function: F) -> Typed<F> {
    Typed(function)
}

/// A function whose `Err` is a failure of the worker. Made by [`fallible`].
#[derive(Debug, Clone, Copy)]
pub struct Failing<F>(F);

/// Has a function's `Err` count as a failure of the worker, where the compiler can't tell whether it
/// is meant to be one because the error could also be serialized.
///
/// ```standalone_crate
/// fn parse(text: String) -> Result<i32, String> {
///     text.parse().map_err(|_| format!("{text:?} is no number"))
/// }
/// # fn main() -> Result<(), mpfork::Error> {
/// # mpfork::freeze_support();
/// # let ctx = mpfork::get_context(mpfork::StartMethod::ForkServer)?;
/// let number: i32 = ctx.spawn(mpfork::fallible(parse), "17".to_owned())?.join()?;
/// assert_eq!(number, 17);
/// # Ok(())
/// # }
/// ```
pub const fn fallible<F: Copy>(function: F) -> Failing<F> {
    Failing(function)
}

/// Tells the calls of wrapped functions from others. Inferred; see [`Call`].
#[derive(Debug)]
pub struct Wrapped<M>(std::marker::PhantomData<M>);

impl<F, A, M> Call<A, Wrapped<M>> for Failing<F>
where
    F: Target<A, M, Output: Outcome<Fallible>>,
{
    type Value = <F::Output as Outcome<Fallible>>::Value;
    const TYPED: bool = false;
    fn returned(self, arguments: A) -> Returned {
        self.0.call(arguments).returned()
    }
}

impl<F, A, M, T, E> Call<A, Wrapped<M>> for Typed<F>
where
    F: Target<A, M, Output = Result<T, E>>,
    T: Serialize + DeserializeOwned,
    E: Serialize + DeserializeOwned + std::fmt::Display,
{
    type Value = Result<T, E>;
    const TYPED: bool = true;
    fn returned(self, arguments: A) -> Returned {
        let result = self.0.call(arguments);
        let Err(error) = &result else {
            return value(&result);
        };
        match parcel::encode_result(&result) {
            Err(error) => unencodable(&error),
            Ok(bytes) => Returned::Failed(Failed {
                kind: FailedKind::Error,
                message: error.to_string(),
                chain: Vec::new(),
                value: Some(bytes),
            }),
        }
    }
}
