//! Functions that may run in another process.

use crate::codec::DecodeError;
use crate::ending::Ending;
use crate::outcome::Outcome;
use crate::parcel;
use mpfork_sys::entry::{Failed, FailedKind, Record, Returned, Thunk, record_of};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A function that can run in a worker with arguments `A`.
///
/// Any plain function or closure without captures, called with
/// - one value: `fn(T)`, arguments `T`;
/// - several values: `fn(T1, T2, ...)` up to six, arguments `(T1, T2, ...)`;
/// - none: `fn()`, arguments `()`.
///
/// The arguments must implement [`Serialize`](serde::Serialize) and [`DeserializeOwned`]. A closure's parameters need
/// their types written down. A function *pointer* is refused, as is a closure that captures: only
/// what has no bytes can be found again in another process.
///
/// Values travel as MessagePack, which like JSON has one null: `Some(None)` and `Some(())` arrive as
/// `None`.
///
/// `M` tells the forms apart and is inferred.
///
/// Mirrors the `target` and `args` of Python's `multiprocessing.Process`.
///
/// ```
/// fn takes<A, M>(_: impl mpfork::Target<A, M>, _: A) {}
/// takes(|n: i32| n + 1, 1);
/// takes(|n: i32, text: String| format!("{n}{text}"), (1, "two".to_owned()));
/// takes(|| (), ());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be called with `{A}` in another process",
    note = "a function of one argument takes that argument, one of several a tuple of them, one of \
            none `()`; arguments must implement `Serialize` and `DeserializeOwned`"
)]
pub trait Target<A, M>: Copy + 'static {
    /// What it returns.
    type Output;
    /// Calls it.
    #[doc(hidden)]
    fn call(self, arguments: A) -> Self::Output;
}

/// Marks functions of one argument. Inferred; see [`Target`].
#[derive(Debug)]
pub struct Single;

/// Marks functions whose arguments are a tuple's fields. Inferred; see [`Target`].
#[derive(Debug)]
pub struct Spread;

impl<F, A, R> Target<A, Single> for F
where
    F: Fn(A) -> R + Copy + 'static,
{
    type Output = R;
    fn call(self, arguments: A) -> R {
        self(arguments)
    }
}

macro_rules! spread {
    ($($field:ident $type:ident),*) => {
        impl<F, R, $($type),*> Target<($($type,)*), Spread> for F
        where
            F: Fn($($type),*) -> R + Copy + 'static,
        {
            type Output = R;
            fn call(self, ($($field,)*): ($($type,)*)) -> R {
                self($($field),*)
            }
        }
    };
}
spread!();
spread!(a A, b B);
spread!(a A, b B, c C);
spread!(a A, b B, c C, d D);
spread!(a A, b B, c C, d D, e E);
spread!(a A, b B, c C, d D, e E, f G);

/// A function that can be called for its result: what [`Context::spawn`](crate::Context::spawn)
/// takes. Implemented for every [`Target`] whose output is an [`Outcome`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be called with `{A}` for its result in another process",
    note = "its arguments and its result must implement `Serialize` and `DeserializeOwned`; a \
            result may also be a `Result` with any error"
)]
pub trait Call<A, M>: Copy + 'static {
    /// What the caller gets.
    type Value: DeserializeOwned;
    #[doc(hidden)]
    const TYPED: bool;
    #[doc(hidden)]
    fn returned(self, arguments: A) -> Returned;
}

impl<F, A, M, O> Call<A, (M, O)> for F
where
    F: Target<A, M, Output: Outcome<O>>,
{
    type Value = <F::Output as Outcome<O>>::Value;
    const TYPED: bool = false;
    fn returned(self, arguments: A) -> Returned {
        self.call(arguments).returned()
    }
}

/// Calls a function for its result.
struct ForResult<A, M>(PhantomData<(A, M)>);
/// Calls a function for its exit code.
struct ForExit<A, M>(PhantomData<(A, M)>);

impl<F: Call<A, M>, A: DeserializeOwned, M> Thunk<F> for ForResult<A, M> {
    fn run(function: F, argument: &[u8]) -> Returned {
        match parcel::decode_arguments(argument) {
            Ok(arguments) => function.returned(arguments),
            Err(error) => undecodable(&error),
        }
    }
}

impl<F: Target<A, M, Output: Ending>, A: DeserializeOwned, M> Thunk<F> for ForExit<A, M> {
    fn run(function: F, argument: &[u8]) -> Returned {
        match parcel::decode_arguments(argument) {
            Ok(arguments) => function.call(arguments).returned(),
            Err(error) => undecodable(&error),
        }
    }
}

fn undecodable(error: &DecodeError) -> Returned {
    Returned::Failed(Failed {
        kind: FailedKind::Argument,
        message: error.to_string(),
        chain: Vec::new(),
        value: None,
    })
}

/// The record of a function called for its result.
pub(crate) fn call_record<F, A, M>(function: F) -> &'static Record
where
    F: Call<A, M>,
    A: DeserializeOwned,
{
    record_of::<F, ForResult<A, M>>(function)
}

/// The record of a function called for its exit code.
pub(crate) fn exit_record<F, A, M>(function: F) -> &'static Record
where
    F: Target<A, M, Output: Ending>,
    A: DeserializeOwned,
{
    record_of::<F, ForExit<A, M>>(function)
}

/// What `register!` registers.
#[doc(hidden)]
pub fn run_registered<F, A, M>(function: F, argument: &[u8]) -> Returned
where
    F: Call<A, M>,
    A: DeserializeOwned,
{
    ForResult::<A, M>::run(function, argument)
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
