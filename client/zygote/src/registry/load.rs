//! The forms a load function may have, and how it tells its progress.

use crate::fault::BoxError;
use std::fmt;

/// How far a preload is. Telling it costs nothing where nobody listens.
///
/// ```
/// # use mpfork_zygote::Progress;
/// fn load(progress: &Progress) -> Vec<u64> {
///     let mut squares = Vec::new();
///     for n in 0..1000 {
///         squares.push(n * n);
///         progress.report(n as f64 / 1000.0, "squaring");
///     }
///     squares
/// }
/// ```
pub struct Progress {
    listener: Option<Listener>,
}

/// Told the fraction and a message.
pub(crate) type Listener = Box<dyn Fn(Option<f64>, &str)>;

impl Progress {
    /// Nobody listens.
    pub(crate) const fn silent() -> Self {
        Self { listener: None }
    }

    #[cfg(unix)]
    pub(crate) fn to(listener: Listener) -> Self {
        Self {
            listener: Some(listener),
        }
    }

    /// Tells how much is done, from 0 to 1, and what is being done.
    pub fn report(&self, fraction: f64, message: &str) {
        if let Some(listener) = &self.listener {
            listener(Some(fraction.clamp(0.0, 1.0)), message);
        }
    }

    /// Tells what is being done.
    pub fn message(&self, message: &str) {
        if let Some(listener) = &self.listener {
            listener(None, message);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// A load function of a preload of type `T`: `fn() -> T`, `fn() -> Result<T, E>`, or one of these
/// that takes a [`&Progress`](Progress). `Form` only tells these forms apart.
pub trait Load<T, Form> {
    /// Calls the function.
    ///
    /// # Errors
    /// What the function returns.
    fn load(&self, progress: &Progress) -> Result<T, BoxError>;
}

/// Types that tell the forms of functions apart.
#[doc(hidden)]
pub(crate) mod form {
    #[derive(Debug)]
    pub struct Plain;
    #[derive(Debug)]
    pub struct Fallible<E>(std::marker::PhantomData<E>);
    #[derive(Debug)]
    pub struct WithProgress<Form>(std::marker::PhantomData<Form>);
}

use form::{Fallible, Plain, WithProgress};

impl<T, F: Fn() -> T> Load<T, Plain> for F {
    fn load(&self, _progress: &Progress) -> Result<T, BoxError> {
        Ok(self())
    }
}

impl<T, E: Into<BoxError>, F: Fn() -> Result<T, E>> Load<T, Fallible<E>> for F {
    fn load(&self, _progress: &Progress) -> Result<T, BoxError> {
        self().map_err(Into::into)
    }
}

impl<T, F: Fn(&Progress) -> T> Load<T, WithProgress<Plain>> for F {
    fn load(&self, progress: &Progress) -> Result<T, BoxError> {
        Ok(self(progress))
    }
}

impl<T, E: Into<BoxError>, F: Fn(&Progress) -> Result<T, E>> Load<T, WithProgress<Fallible<E>>>
    for F
{
    fn load(&self, progress: &Progress) -> Result<T, BoxError> {
        self(progress).map_err(Into::into)
    }
}
