//! Names of resource limits, for the configuration.

use crate::config::RlimitConfig;
use mpfork_sys::limits::Rlimit;
use rustix::process::Resource;

const NAMES: &[(&str, Resource)] = &[
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("memlock", Resource::Memlock),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("stack", Resource::Stack),
];

/// The number of a limit.
pub(crate) fn number(name: &str) -> Option<u32> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, resource)| *resource as u32)
}

/// All names, for people.
pub(crate) fn names() -> String {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// A configured limit. The name was checked when the configuration was read.
pub(crate) fn from_config(name: &str, config: RlimitConfig) -> Option<Rlimit> {
    let (soft, hard) = match config {
        RlimitConfig::Both(both) => (both, both),
        RlimitConfig::Pair(soft, hard) => (soft, hard),
    };
    Some(Rlimit {
        resource: number(name)?,
        soft,
        hard,
    })
}
