//! Worker ids as text: the daemon instance in hex, a dash, the counter.

use crate::v1::WorkerId;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.instance, self.counter)
    }
}

/// The text is no worker id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no worker id: expected INSTANCE-NUMBER as `mpctl ps` prints it")]
pub struct BadWorkerId(String);

impl FromStr for WorkerId {
    type Err = BadWorkerId;

    fn from_str(text: &str) -> Result<Self, BadWorkerId> {
        let bad = || BadWorkerId(text.to_owned());
        let (instance, counter) = text.split_once('-').ok_or_else(bad)?;
        Ok(Self {
            instance: u64::from_str_radix(instance, 16).map_err(|_| bad())?,
            counter: counter.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = WorkerId {
            instance: 0x00ab_cdef,
            counter: 17,
        };
        assert_eq!(id.to_string(), "abcdef-17");
        assert_eq!("abcdef-17".parse(), Ok(id));
        assert!("17".parse::<WorkerId>().is_err());
        assert!("-".parse::<WorkerId>().is_err());
    }
}
