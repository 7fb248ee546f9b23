//! Resource limits of the configuration.

use crate::config::RlimitConfig;
use mpfork_sys::limits::{Rlimit, by_name};

/// A configured limit. The name was checked when the configuration was read.
pub(crate) fn from_config(name: &str, config: RlimitConfig) -> Option<Rlimit> {
    let (soft, hard) = match config {
        RlimitConfig::Both(both) => (both, both),
        RlimitConfig::Pair(soft, hard) => (soft, hard),
    };
    Some(Rlimit {
        resource: by_name(name)?,
        soft,
        hard,
    })
}
