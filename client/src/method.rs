//! Start methods.

use crate::platform;
use std::fmt;
use std::str::FromStr;

/// How a context starts processes: the start methods of Python's `multiprocessing`.
///
/// It prints as, and parses from, Python's names. Which of them a platform has, and which is its
/// default, tells [`get_all_start_methods`]. [Which one, and why](crate#start-methods).
///
/// ```
/// use mpfork::StartMethod;
/// assert_eq!(StartMethod::ForkServer.to_string(), "forkserver");
/// assert_eq!("forkserver".parse(), Ok(StartMethod::ForkServer));
///
/// let of_the_command_line = std::env::args().nth(1);
/// let method = of_the_command_line.map(|name| name.parse()).transpose()?;
/// let ctx = mpfork::get_context(method)?; // the default without
/// # Ok::<(), mpfork::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// Workers are forked from a zygote, a process of the program that has one thread and has loaded what
    /// [`preload!`](crate::preload) declares. mpforkd keeps it, or the program itself. On Linux and macOS.
    ForkServer,
    /// Workers are forked from the calling process, which must have one thread; they have all that it has
    /// in memory. On Linux and macOS.
    Fork,
    /// Workers are the program executed anew: nothing is shared, nothing is preloaded. On every platform.
    Spawn,
}

impl StartMethod {
    const ALL: [Self; 3] = [Self::ForkServer, Self::Fork, Self::Spawn];

    /// Python's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ForkServer => "forkserver",
            Self::Fork => "fork",
            Self::Spawn => "spawn",
        }
    }

    pub(crate) fn is_here(self) -> bool {
        get_all_start_methods().contains(&self)
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The start methods that this platform has, its default first: on Linux `forkserver`, `fork` and
/// `spawn`, on macOS `spawn`, `fork` and `forkserver`, on Windows `spawn`.
///
/// Mirrors `multiprocessing.get_all_start_methods()`.
///
/// ```
/// let methods = mpfork::get_all_start_methods();
/// assert!(methods.contains(&mpfork::StartMethod::Spawn));
/// ```
#[must_use]
pub fn get_all_start_methods() -> &'static [StartMethod] {
    platform::START_METHODS
}

/// The platform's start methods in words.
pub(crate) fn listed() -> String {
    let names: Vec<&str> = get_all_start_methods()
        .iter()
        .map(|method| method.name())
        .collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// There is no start method of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no start method: this platform has {methods}", methods = listed())]
pub struct UnknownStartMethod(String);

impl UnknownStartMethod {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for StartMethod {
    type Err = UnknownStartMethod;

    fn from_str(name: &str) -> Result<Self, UnknownStartMethod> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownStartMethod(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        for method in StartMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        for name in ["Fork", "", "nope", " spawn"] {
            let error = name.parse::<StartMethod>().unwrap_err();
            assert_eq!(error.name(), name);
            let text = error.to_string();
            assert!(text.contains(&format!("{name:?}")), "{text}");
            for method in get_all_start_methods() {
                assert!(text.contains(method.name()), "{text}");
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_linux_has_is_listed_with_its_default_first() {
        let names = get_all_start_methods().iter().map(|method| method.name());
        assert_eq!(names.collect::<Vec<_>>(), ["forkserver", "fork", "spawn"]);
        assert_eq!(listed(), "forkserver, fork and spawn");
    }
}
