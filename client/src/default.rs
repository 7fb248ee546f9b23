//! The process's default start method, and the context it gives.

use crate::context::Context;
use crate::error::Error;
use crate::method::{StartMethod, get_all_start_methods};
use crate::overrides;
use mpfork_proto::v1::StartWay;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A start method, and how it came to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) method: StartMethod,
    /// Somebody asked for it: it is not replaced with another one then.
    pub(crate) by_name: bool,
}

/// What one process has fixed.
#[derive(Debug)]
struct Fixed {
    pid: u32,
    chosen: Option<Chosen>,
}

static FIXED: Mutex<Fixed> = Mutex::new(Fixed {
    pid: 0,
    chosen: None,
});

/// What this process has fixed. A worker begins with the method that made it, as in Python; any other
/// forked process with what its parent had.
fn fixed() -> MutexGuard<'static, Fixed> {
    let mut fixed = FIXED.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if fixed.pid != pid {
        fixed.chosen = made_by().or(fixed.chosen);
        fixed.pid = pid;
    }
    fixed
}

/// The method that made this worker.
fn made_by() -> Option<Chosen> {
    let current = mpfork_zygote::current()?;
    // An mpforkd that can't fork has executed it, whatever was asked for.
    let method = match current.way {
        StartWay::Spawn => StartMethod::Spawn,
        _ => current.parent.as_ref()?.start_method.parse().ok()?,
    };
    method.is_here().then_some(Chosen {
        method,
        by_name: false,
    })
}

/// The default where nothing was set: the operator's, else the platform's.
fn initial() -> Result<Chosen, Error> {
    if let Some(name) = overrides::get(overrides::START_METHOD) {
        let method = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .filter(|method: &StartMethod| method.is_here());
        return match method {
            Some(method) => Ok(Chosen {
                method,
                by_name: true,
            }),
            None => Err(Error::NoStartMethod {
                method: name.to_string_lossy().into_owned(),
                origin: Some(overrides::START_METHOD),
            }),
        };
    }
    // Every platform has one.
    let method = get_all_start_methods().first().copied();
    Ok(Chosen {
        method: method.unwrap_or(StartMethod::Spawn),
        by_name: false,
    })
}

/// A method that somebody asks for by name.
fn named(method: StartMethod) -> Result<Chosen, Error> {
    if method.is_here() {
        Ok(Chosen {
            method,
            by_name: true,
        })
    } else {
        Err(Error::NoStartMethod {
            method: method.name().to_owned(),
            origin: None,
        })
    }
}

/// The default, which this fixes where nothing is.
fn fix() -> Result<Chosen, Error> {
    let mut fixed = fixed();
    let chosen = fixed.chosen.map_or_else(initial, Ok)?;
    fixed.chosen = Some(chosen);
    drop(fixed);
    Ok(chosen)
}

/// The context of a start method; with `None` the default context, whose start method it fixes.
///
/// Mirrors `multiprocessing.get_context(method)`. It changes the default method only where it fixes
/// it.
///
/// ```
/// use mpfork::{StartMethod, get_context};
/// let ctx = get_context(StartMethod::Spawn)?;
/// assert_eq!(ctx.start_method(), StartMethod::Spawn);
/// let default = get_context(None)?;
/// assert_eq!(Some(default.start_method()), mpfork::get_start_method(true));
/// # Ok::<(), mpfork::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoStartMethod`] when the platform lacks the method, or `MPFORK_START_METHOD`, which gives
/// the default, names none that it has.
pub fn get_context(method: impl Into<Option<StartMethod>>) -> Result<Context, Error> {
    let chosen = match method.into() {
        Some(method) => named(method)?,
        None => fix()?,
    };
    Ok(Context::new(chosen))
}

/// The default start method. Where none is fixed yet this fixes it, and gives it, unless
/// `allow_none`: then it gives `None`.
///
/// Mirrors `multiprocessing.get_start_method(allow_none)`. In a worker it is the method that made
/// the worker.
///
/// ```
/// let method = mpfork::get_start_method(false);
/// assert_eq!(method, mpfork::get_start_method(true));
/// ```
///
/// It is `None` also when `MPFORK_START_METHOD` names no start method that the platform has:
/// [`get_context`] and everything that starts processes then fail with the error that says so.
#[must_use]
pub fn get_start_method(allow_none: bool) -> Option<StartMethod> {
    if allow_none {
        return fixed().chosen.map(|chosen| chosen.method);
    }
    fix().ok().map(|chosen| chosen.method)
}

/// Fixes the default start method, once. With `force` it may be changed, and with `None` and `force`
/// it is as if none had been fixed; with `None` alone the platform's default is fixed.
///
/// Mirrors `multiprocessing.set_start_method(method, force)`. Contexts that exist stay what they are.
///
/// ```
/// use mpfork::{StartMethod, get_start_method, set_start_method};
/// set_start_method(StartMethod::Spawn, false)?;
/// assert!(set_start_method(StartMethod::ForkServer, false).is_err());
/// set_start_method(StartMethod::ForkServer, true)?;
/// assert_eq!(get_start_method(false), Some(StartMethod::ForkServer));
/// set_start_method(None, true)?;
/// assert_eq!(get_start_method(true), None);
/// # Ok::<(), mpfork::Error>(())
/// ```
///
/// # Errors
/// [`Error::StartMethodFixed`] when one is fixed and `force` is not set, whatever the method asked
/// for; [`Error::NoStartMethod`] when the platform lacks it. Nothing is changed then.
pub fn set_start_method(method: impl Into<Option<StartMethod>>, force: bool) -> Result<(), Error> {
    let mut fixed = fixed();
    if let Some(chosen) = fixed.chosen
        && !force
    {
        return Err(Error::StartMethodFixed {
            method: chosen.method,
        });
    }
    fixed.chosen = match method.into() {
        Some(method) => Some(named(method)?),
        None if force => None,
        None => Some(initial()?),
    };
    drop(fixed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All in one test: the default is the process's.
    #[test]
    fn the_default_is_fixed_once_unless_it_is_forced() {
        let fixed =
            |result: Result<(), Error>| matches!(result, Err(Error::StartMethodFixed { .. }));
        assert_eq!(get_start_method(true), None);
        let platforms = get_all_start_methods()[0];
        let ctx = get_context(None).unwrap();
        assert_eq!(ctx.start_method(), platforms);
        assert!(!ctx.asked_by_name());
        assert_eq!(get_start_method(true), Some(platforms));
        assert!(fixed(set_start_method(platforms, false)));
        assert!(fixed(set_start_method(None, false)));
        for method in get_all_start_methods() {
            set_start_method(*method, true).unwrap();
            assert_eq!(get_start_method(false), Some(*method));
            let ctx = get_context(None).unwrap();
            assert!(ctx.asked_by_name() && ctx.start_method() == *method);
        }
        assert_eq!(ctx.start_method(), platforms, "made before");
        set_start_method(None, true).unwrap();
        assert_eq!(get_start_method(true), None);
        set_start_method(None, false).unwrap();
        assert_eq!(get_start_method(true), Some(platforms));
        set_start_method(None, true).unwrap();
    }
}
