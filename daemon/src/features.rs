//! What the kernel offers, found out by trying, and what is done without it.

use mpfork_sys::fork::{Forked, fork};
use mpfork_sys::{memory, sentinel};
use std::io;
use std::os::fd::AsFd as _;

/// A kernel feature that is used where it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Feature {
    /// A process can be forked.
    Fork,
    /// `PIDFD_GET_INFO` tells a reaped process's status (Linux 6.15).
    ExitInfo,
    /// A process group can be signalled through its leader's pidfd (Linux 6.9).
    GroupSignal,
    /// A socket tells its peer's pidfd (Linux 6.5).
    PeerPidfd,
    /// `MADV_COLLAPSE` moves memory into huge pages (Linux 6.1).
    Collapse,
}

/// All of them, with what is done without.
pub const FEATURES: [(Feature, &str, &str); 5] = [
    (
        Feature::Fork,
        "fork",
        "without it workers are executed afresh, by spawn, and find nothing preloaded",
    ),
    (
        Feature::ExitInfo,
        "exit-info",
        "without it a worker that its zygote reaped but did not report is lost",
    ),
    (
        Feature::GroupSignal,
        "group-signal",
        "without it zygotes end what is left of a worker's group, and leftovers are not named",
    ),
    (
        Feature::PeerPidfd,
        "peer-pidfd",
        "without it a client's pidfd is opened by the pid its socket tells",
    ),
    (
        Feature::Collapse,
        "collapse",
        "without it only what malloc asks for is in huge pages, and what writing has split stays so",
    ),
];

/// Which features are used in this run.
#[derive(Debug, Clone)]
pub struct Features {
    found: [Result<(), String>; FEATURES.len()],
}

impl Features {
    /// Tries each, but those to do without.
    #[must_use]
    pub fn probe(without: &[Feature]) -> Self {
        let found = FEATURES.map(|(feature, ..)| {
            if without.contains(&feature) {
                return Err("switched off".to_owned());
            }
            let result = match feature {
                Feature::Fork => probe_fork(),
                Feature::ExitInfo => probe_exit_info(),
                Feature::GroupSignal => probe_group_signal(),
                Feature::PeerPidfd => probe_peer_pidfd(),
                Feature::Collapse => memory::probe_collapse(),
            };
            result.map_err(|error| error.to_string())
        });
        Self { found }
    }

    /// Whether a feature is used.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.rows()
            .any(|(f, _, found, _)| f == feature && found.is_ok())
    }

    /// Each feature with its name, how it was found, and what is done without it.
    pub fn rows(
        &self,
    ) -> impl Iterator<Item = (Feature, &'static str, &Result<(), String>, &'static str)> {
        FEATURES
            .iter()
            .zip(&self.found)
            .map(|((feature, name, without), found)| (*feature, *name, found, *without))
    }
}

fn probe_own_pidfd(
    probe: impl Fn(std::os::fd::BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let own = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    probe(sentinel::open(own)?.as_fd())
}

/// A filter may refuse it.
fn probe_fork() -> io::Result<()> {
    match fork().map_err(io::Error::other)? {
        Forked::Parent(pid) => {
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)?;
            Ok(())
        }
        Forked::Child => mpfork_sys::exit::exit_now(0),
    }
}

/// Only a reaped process shows it: kernels just before know the request, but not the answer.
fn probe_exit_info() -> io::Result<()> {
    let pid = match fork().map_err(io::Error::other)? {
        Forked::Parent(pid) => pid,
        Forked::Child => mpfork_sys::exit::exit_now(0),
    };
    let pidfd = sentinel::open(pid);
    let process = nix::unistd::Pid::from_raw(pid);
    nix::sys::wait::waitpid(process, None)?;
    match sentinel::exit_status(pidfd?.as_fd())? {
        Some(0) => Ok(()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn probe_group_signal() -> io::Result<()> {
    probe_own_pidfd(|fd| match sentinel::signal_group(fd, 0) {
        // This process may lead no group, which is then empty.
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
        other => other,
    })
}

fn probe_peer_pidfd() -> io::Result<()> {
    let (one, _other) = std::os::unix::net::UnixStream::pair()?;
    sentinel::of_peer(one.as_fd()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_can_be_done_without() {
        let features = Features::probe(&[Feature::ExitInfo]);
        assert!(!features.has(Feature::ExitInfo));
        assert_eq!(features.rows().count(), FEATURES.len());
    }
}
