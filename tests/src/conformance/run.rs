//! Runs a scenario in a process of its own, and sees what it leaves.

use super::Way;
use crate::harness::Daemon;
use crate::harness::kept::{self, Kept, Told};
use crate::harness::programs::program;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// Panics unwind.
    ToUnwind,
    /// Panics abort.
    ToAbort,
}

/// The program's builds; what they print says the first one's name.
const UNWINDING: &str = "conformance";
const ABORTING: &str = "conformance-abort";

/// Runs a scenario.
///
/// # Panics
/// When it can't be run, or mpforkd leaves something.
#[must_use]
pub fn run(way: Way, built: Built, subject: &str, scenario: &str) -> Told {
    let program = match built {
        Built::ToUnwind => program(UNWINDING),
        Built::ToAbort => abort_build().to_owned(),
    };
    let run = |daemon: Option<&Daemon>| {
        let mut kept = Kept::new(&program);
        kept.args([subject, scenario])
            // For preloads that are no other scenario's.
            .env("CONFORMANCE_SUBJECT", subject)
            .envs(way.environment().iter().copied());
        if let Some(daemon) = daemon {
            kept.env("MPFORKD_SOCKET", daemon.socket());
        }
        let mut told = kept.run();
        for text in [&mut told.said, &mut told.complained] {
            *text = text.replace(ABORTING, UNWINDING);
        }
        told
    };
    if way == Way::Mpforkd {
        return kept::beside(|daemon| run(Some(daemon)));
    }
    kept::alone(|| run(None))
}

/// Whether the program can be built to abort at panics: not where the tests were not started by cargo,
/// which has the sources.
#[must_use]
pub fn can_build() -> bool {
    std::env::var_os("CARGO").is_some() && abort_manifest().exists()
}

fn abort_manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("abort/Cargo.toml")
}

/// The program built to abort at panics; what it is built with is built so too, once.
fn abort_build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile = own.ancestors().nth(2).unwrap();
        let target = profile.parent().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked"])
            .args(["--config", "profile.dev.panic=\"abort\""])
            .arg("--manifest-path")
            .arg(abort_manifest())
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(status.success(), "the program was not built");
        target.join("debug").join(ABORTING)
    })
}
