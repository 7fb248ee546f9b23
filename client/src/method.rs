//! Start methods.

use std::fmt;
use std::str::FromStr;

/// How a context starts processes: the start methods of Python's `multiprocessing`.
///
/// It prints as, and parses from, Python's names.
///
/// ```
/// use mpfork::StartMethod;
/// assert_eq!(StartMethod::ForkServer.to_string(), "forkserver");
/// assert_eq!("forkserver".parse(), Ok(StartMethod::ForkServer));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// A server forks workers that find everything preloaded.
    ForkServer,
    /// The calling process forks.
    Fork,
    /// A fresh process of the program.
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
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no start method of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no start method: there are forkserver, fork and spawn")]
pub struct UnknownStartMethod(String);

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
        let error = "Fork".parse::<StartMethod>().unwrap_err();
        assert!(error.to_string().contains("forkserver, fork and spawn"));
    }
}
