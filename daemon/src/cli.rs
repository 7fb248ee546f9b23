//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Keeps preloaded processes warm and forks workers from them.
///
/// Runs in the foreground until SIGTERM or `mpctl shutdown`; a second SIGTERM ends it at once. SIGHUP
/// reads the configuration again: templates, limits and times.
#[derive(Debug, Parser)]
#[command(name = "mpforkd", version)]
pub(crate) struct Cli {
    /// The configuration file (TOML).
    #[arg(long, short, value_name = "FILE", env = "MPFORKD_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// The socket to serve on [default: $XDG_RUNTIME_DIR/mpforkd/mpforkd.sock, as root
    /// /run/mpforkd/mpforkd.sock, else a folder of the user's own under the temporary folder]
    #[arg(long, value_name = "PATH", env = "MPFORKD_SOCKET")]
    pub(crate) socket: Option<PathBuf>,

    /// Check the configuration, print what is wrong, and exit.
    #[arg(long)]
    pub(crate) check_config: bool,

    /// What to log: a level, or directives such as mpforkd=debug.
    #[arg(long, value_name = "FILTER", env = "MPFORKD_LOG")]
    pub(crate) log: Option<String>,

    /// How to log.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<crate::config::LogFormat>,

    /// Print a script that makes a shell complete this command line, and exit.
    #[arg(long, value_name = "SHELL", value_enum)]
    pub(crate) completions: Option<clap_complete::Shell>,

    /// Do without a kernel feature that was found, as on a kernel without it. May be repeated.
    #[arg(long, value_name = "FEATURE", value_enum)]
    pub(crate) without_feature: Vec<crate::features::Feature>,
}
