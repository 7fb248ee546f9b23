//! One suite for all ways of starting a process, as CPython runs its own tests under each start method.
//!
//! The scenarios are in a program of their own, `conformance`, which uses the crate as any program does
//! and does not know by which way its processes are made: the environment tells the crate. What it prints
//! must be the same by all of them.
#![allow(clippy::unwrap_used)] // It is for tests, and may panic.

pub mod differences;
mod run;
mod scenarios;

pub use crate::harness::kept::Told;
pub use run::{Built, can_build, run};

/// How the program's processes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the program itself.
    Fork,
    /// By executing the program.
    Spawn,
    /// By a forkserver of the program's own.
    Embedded,
    /// By a forkserver through mpforkd.
    Mpforkd,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::Fork, Self::Spawn, Self::Embedded, Self::Mpforkd];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Spawn => "spawn",
            Self::Embedded => "embedded",
            Self::Mpforkd => "mpforkd",
        }
    }

    /// By its name.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|way| way.name() == name);
        found.unwrap_or_else(|| panic!("{name} is no way to start processes"))
    }

    /// The variables that have the crate start processes this way.
    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fork => &[("MPFORK_START_METHOD", "fork")],
            Self::Spawn => &[("MPFORK_START_METHOD", "spawn")],
            Self::Embedded => &[
                ("MPFORK_START_METHOD", "forkserver"),
                ("MPFORK_SERVER", "embedded"),
            ],
            Self::Mpforkd => &[
                ("MPFORK_START_METHOD", "forkserver"),
                ("MPFORK_SERVER", "mpforkd"),
            ],
        }
    }
}

macro_rules! names {
    (; $($subject:ident { $($scenario:ident)* })*) => {
        /// All scenarios: the names of their subjects, and their own.
        pub const SCENARIOS: &[(&str, &str)] =
            &[$($((stringify!($subject), stringify!($scenario)),)*)*];
    };
}
scenarios::scenarios!(names);
