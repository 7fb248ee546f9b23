//! The ways to make a process that are compared.

use super::protocol::Figure;
use serde::{Deserialize, Serialize};

/// How a contender makes its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    Raw,
    RawCompacted,
    PosixSpawn,
    Procspawn,
    Mpforkd,
    MpforkdDefault,
    MpforkdSpares,
    MpforkdShared,
    Embedded,
    MpforkFork,
    MpforkSpawn,
    CpythonFork,
    CpythonForkserver,
    CpythonForkserverBare,
    CpythonSpawn,
}

/// In the order of the report.
pub(super) const ALL: [Way; 15] = [
    Way::Raw,
    Way::RawCompacted,
    Way::PosixSpawn,
    Way::Mpforkd,
    Way::MpforkdDefault,
    Way::MpforkdSpares,
    Way::MpforkdShared,
    Way::Embedded,
    Way::MpforkFork,
    Way::MpforkSpawn,
    Way::Procspawn,
    Way::CpythonFork,
    Way::CpythonForkserver,
    Way::CpythonForkserverBare,
    Way::CpythonSpawn,
];

/// What all are compared with. They are there whenever others are measured.
pub(super) const REFERENCES: [Way; 2] = [Way::Raw, Way::Mpforkd];

impl Way {
    /// As in the report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawCompacted => "raw-compacted",
            Self::PosixSpawn => "posix-spawn",
            Self::Procspawn => "procspawn",
            Self::Mpforkd => "mpforkd",
            Self::MpforkdDefault => "mpforkd-default",
            Self::MpforkdSpares => "mpforkd-spares",
            Self::MpforkdShared => "mpforkd-shared",
            Self::Embedded => "embedded",
            Self::MpforkFork => "mpfork-fork",
            Self::MpforkSpawn => "mpfork-spawn",
            Self::CpythonFork => "cpython-fork",
            Self::CpythonForkserver => "cpython-forkserver",
            Self::CpythonForkserverBare => "cpython-forkserver-bare",
            Self::CpythonSpawn => "cpython-spawn",
        }
    }

    /// For people.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Raw => {
                "fork, _exit and waitpid in a process of one thread; its memory as malloc left it"
            }
            Self::RawCompacted => {
                "the same where the process has collapsed its heap into huge pages"
            }
            Self::PosixSpawn => {
                "std::process::Command of `true`, by posix_spawn, and wait; `true` does not tell when it began"
            }
            Self::Procspawn => "a function by the crate procspawn, which executes the program",
            Self::Mpforkd => "a worker of a running mpforkd, forked when it is started",
            Self::MpforkdDefault => "the same by its default configuration: spares as it sees fit",
            Self::MpforkdSpares => {
                "the same, forked ahead: 64 spares wait before each turn of latency"
            }
            Self::MpforkdShared => "the same as mpforkd, what is preloaded in a Shared",
            Self::Embedded => "a worker of a forkserver of the program's own, without mpforkd",
            Self::MpforkFork => "a worker by start method fork, of a program of one thread",
            Self::MpforkSpawn => "a worker by start method spawn, which executes the program",
            Self::CpythonFork => "multiprocessing's Process by start method fork",
            Self::CpythonForkserver => "the same by forkserver, everything preloaded in it",
            Self::CpythonForkserverBare => "the same by forkserver, nothing preloaded in it",
            Self::CpythonSpawn => "the same by spawn",
        }
    }

    /// Whether it is somebody else's, and measured when that is asked for.
    pub(super) fn is_peer(self) -> bool {
        self.is_python() || self == Self::Procspawn
    }

    pub(super) fn is_python(self) -> bool {
        matches!(
            self,
            Self::CpythonFork
                | Self::CpythonForkserver
                | Self::CpythonForkserverBare
                | Self::CpythonSpawn
        )
    }

    /// Whether its processes find what was preloaded. Others execute a program, which has loaded nothing.
    pub(super) fn preloads(self) -> bool {
        !matches!(
            self,
            Self::PosixSpawn
                | Self::Procspawn
                | Self::MpforkSpawn
                | Self::CpythonForkserverBare
                | Self::CpythonSpawn
        )
    }

    /// Whether it is measured with so much preloaded.
    pub(super) fn is_measured_with(self, preload_mb: u32) -> bool {
        match self {
            // There is nothing to compact, or to share.
            Self::RawCompacted | Self::MpforkdShared => preload_mb > 0,
            // Between those with spares and without, whatever is preloaded.
            Self::MpforkdDefault => preload_mb == 0,
            _ => self.preloads() || preload_mb == 0,
        }
    }

    /// Whether a process of its can stay, and be looked at. What posix_spawn executes is not ours.
    pub(super) fn can_stay(self) -> bool {
        self != Self::PosixSpawn
    }

    /// What can be measured of a single one.
    pub(super) fn figures(self) -> &'static [Figure] {
        const BOTH: [Figure; 2] = [Figure::ExitKnown, Figure::FirstInstruction];
        if self.can_stay() { &BOTH } else { &BOTH[..1] }
    }

    /// The variable by which its processes know how many megabytes to preload.
    pub(super) fn preload_variable(self) -> &'static str {
        match self {
            Self::MpforkdShared => SHARED_ENV,
            _ => PRELOAD_ENV,
        }
    }

    /// The daemon's configuration, where there is a daemon.
    pub(super) fn daemon_config(self) -> Option<String> {
        match self {
            Self::Mpforkd | Self::MpforkdShared => Some("[limits]\nspares = 0\n".to_owned()),
            Self::MpforkdDefault => Some(String::new()),
            Self::MpforkdSpares => Some(format!("[spares]\nmin = {SPARES}\nmax = {SPARES}\n")),
            _ => None,
        }
    }
}

/// How many spares wait before a turn, in which no more processes are started one after another: as many as
/// mpforkd lets wait, where it may open enough files.
pub(super) const SPARES: u32 = 64;

/// What a process may have in memory from which processes are made: so many megabytes of small allocations.
/// The program itself declares that preload: one of this library would be every program's that links it.
const PRELOAD_ENV: &str = "MPFORK_BENCH_PRELOAD_MB";
/// The same in one [`mpfork::Shared`].
const SHARED_ENV: &str = "MPFORK_BENCH_SHARED_MB";
