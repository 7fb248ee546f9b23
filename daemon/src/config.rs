//! The configuration file.

mod compaction;
mod limits;
mod remarks;
mod timeouts;

pub use compaction::CompactionConfig;
pub use limits::Limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
pub use timeouts::Timeouts;

/// Everything a configuration file may say. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The socket to serve on.
    pub socket: Option<PathBuf>,
    /// Logging.
    pub log: Log,
    /// Metrics.
    pub metrics: Metrics,
    /// Bounds of everything.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How many workers of a template are forked ahead, where the template does not say.
    pub spares: SparesConfig,
    /// How zygotes are made such that a fork copies little.
    pub compaction: CompactionConfig,
    /// Templates by name.
    pub templates: BTreeMap<String, TemplateConfig>,
}

/// Logging.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level, or directives such as `mpforkd=debug`.
    pub filter: Option<String>,
    /// How records are written. By itself: to the journal where standard error goes there, else text.
    pub format: Option<LogFormat>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
    /// Entries of systemd's journal, each field by name.
    Journal,
}

/// Metrics, in the text format of OpenMetrics, which Prometheus reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Where they are served; nowhere when absent.
    pub listen: Option<MetricsAddress>,
}

/// Where metrics are served: `unix:/path`, or a port of the loopback interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum MetricsAddress {
    /// A Unix socket, by the same rules as the daemon's own.
    Unix(PathBuf),
    /// An address that only this machine reaches.
    Loopback(SocketAddr),
}

impl TryFrom<String> for MetricsAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(format!("{text:?}: the path must be absolute"))
            };
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("{text:?} is neither unix:/PATH nor an address such as 127.0.0.1:9464")
        })?;
        if address.ip().is_loopback() {
            Ok(Self::Loopback(address))
        } else {
            Err(format!(
                "{text:?} can be reached from other machines: use a loopback address or unix:/PATH"
            ))
        }
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(address) => address.fmt(f),
        }
    }
}

/// One template.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// The program: an absolute path to one that calls `freeze_support()` first thing in main.
    pub program: PathBuf,
    /// The template's own arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// The preloads to load; all when absent.
    pub preloads: Option<Vec<String>>,
    /// The whole environment of the zygote.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Limits of the zygote and its workers by name: soft and hard, or one number for both.
    #[serde(default)]
    pub rlimits: BTreeMap<String, RlimitConfig>,
    /// Launch it at start and never let it go when idle.
    #[serde(default)]
    pub warm: bool,
    /// How many workers to fork ahead; as all others when absent.
    pub spares: Option<SparesConfig>,
    /// Whether what it preloads is moved into huge pages; as all others when absent.
    pub compact: Option<bool>,
}

/// How many workers of a template are forked ahead of their starts. Between the two numbers it follows
/// how often the template is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparesConfig {
    /// So many even when nobody starts anything; while starts come there may be fewer.
    pub min: usize,
    /// Never more; 0: every worker is forked when it is started.
    pub max: usize,
}

impl Default for SparesConfig {
    fn default() -> Self {
        Self { min: 0, max: 8 }
    }
}

/// A limit: one number for soft and hard, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum RlimitConfig {
    /// Both the same.
    Both(u64),
    /// Soft, then hard.
    Pair(u64, u64),
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no valid configuration.
    #[error("the configuration {path} is wrong")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value that can't be.
    #[error("the configuration is wrong: {field}: {detail}")]
    Value {
        /// The key.
        field: String,
        /// What is wrong with its value.
        detail: String,
    },
}

impl ConfigError {
    /// In one line: what is wrong and where, without an excerpt of the file.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Parse { path, source } => {
                let text = source.to_string();
                let place = text.lines().next().unwrap_or_default();
                let (path, message) = (path.display(), source.message());
                format!("the configuration {path} is wrong: {place}: {message}")
            }
            Self::Read { source, .. } => format!("{self}: {source}"),
            Self::Value { .. } => self.to_string(),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it can't be read, is not valid, or has a value that can't be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// When it is not valid, or has a value that can't be.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config = toml::from_str::<Self>(text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, detail: &str| {
            Err(ConfigError::Value {
                field: field.to_owned(),
                detail: detail.to_owned(),
            })
        };
        let limits = &self.limits;
        for (name, value) in [
            ("limits.workers", limits.workers),
            ("limits.workers_per_template", limits.workers_per_template),
            ("limits.waiting_starts", limits.waiting_starts),
            ("limits.templates", limits.templates),
            ("limits.connections", limits.connections),
            ("limits.retained_events", limits.retained_events),
            ("limits.retained_event_bytes", limits.retained_event_bytes),
            ("limits.calls_per_connection", limits.calls_per_connection),
        ] {
            if value == 0 {
                return wrong(name, "must be at least 1");
            }
        }
        let timeouts = &self.timeouts;
        // Without any time nobody could connect, and no zygote would ever answer. At once is a fine time
        // to let an idle zygote go, and to follow TERM with KILL.
        for (name, value) in [
            ("timeouts.first_call", timeouts.first_call),
            ("timeouts.half_closed", timeouts.half_closed),
            ("timeouts.hello", timeouts.hello),
            ("timeouts.preload", timeouts.preload),
            ("timeouts.fork", timeouts.fork),
        ] {
            if value.is_zero() {
                return wrong(name, "must be longer than zero");
            }
        }
        if self.compaction.time_limit.is_zero() {
            return wrong(
                "compaction.time_limit",
                "must be longer than zero; enabled = false switches compaction off",
            );
        }
        if self
            .socket
            .as_ref()
            .is_some_and(|socket| socket.as_os_str().is_empty())
        {
            return wrong("socket", "must not be empty");
        }
        let most = mpfork_transport::CONCURRENT_STREAMS as usize / 2;
        if limits.calls_per_connection > most {
            return wrong(
                "limits.calls_per_connection",
                &format!("must be at most {most}"),
            );
        }
        if limits.request_bytes_per_connection < mpfork_proto::MAX_MESSAGE_BYTES {
            return wrong(
                "limits.request_bytes_per_connection",
                &format!("must be at least {}", mpfork_proto::MAX_MESSAGE_BYTES),
            );
        }
        if !(8..=mpfork_transport::MAX_CREDIT).contains(&limits.descriptor_credit) {
            return wrong(
                "limits.descriptor_credit",
                &format!("must be from 8 to {}", mpfork_transport::MAX_CREDIT),
            );
        }
        if limits.kept_output > limits.kept_output_total {
            return wrong(
                "limits.kept_output",
                "must not exceed limits.kept_output_total",
            );
        }
        if self.spares.min > self.spares.max {
            return wrong("spares", "min is over max");
        }
        if self.templates.len() >= limits.templates {
            return wrong(
                "limits.templates",
                "must exceed the number of configured templates",
            );
        }
        for (name, template) in &self.templates {
            let field = |key: &str| format!("templates.{name}.{key}");
            let name_is_fine = !name.is_empty()
                && name.len() <= 64
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !name_is_fine {
                return wrong(
                    &format!("templates.{name}"),
                    "a name has 1 to 64 letters, digits, dashes, dots and underscores",
                );
            }
            if name == mpfork_proto::BUILTIN_TEMPLATE {
                return wrong(
                    &format!("templates.{name}"),
                    "this name belongs to the built-in template",
                );
            }
            if crate::template::spec::is_digest(name) {
                return wrong(
                    &format!("templates.{name}"),
                    "a name must not look like a digest",
                );
            }
            if !template.program.is_absolute() {
                return wrong(&field("program"), "must be an absolute path");
            }
            for (name, value) in &template.env {
                if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                    return wrong(
                        &field("env"),
                        &format!(
                            "{name:?} can't be set: a name is not empty and has no equals sign, and nothing has a NUL byte"
                        ),
                    );
                }
            }
            if template
                .spares
                .is_some_and(|spares| spares.min > spares.max)
            {
                return wrong(&field("spares"), "min is over max");
            }
            for (name, limit) in &template.rlimits {
                if mpfork_sys::limits::by_name(name).is_none() {
                    return wrong(
                        &field("rlimits"),
                        &format!(
                            "{name:?} is no limit; the names are {}",
                            mpfork_sys::limits::names()
                        ),
                    );
                }
                if let RlimitConfig::Pair(soft, hard) = limit
                    && soft > hard
                {
                    return wrong(&field("rlimits"), "the soft limit is over the hard one");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        assert_eq!(parse("").unwrap().limits.templates, 256);
    }

    #[test]
    fn a_whole_one() {
        let config = parse(
            r#"
            socket = "/run/x/y.sock"
            [log]
            format = "json"
            [limits]
            workers = 10
            [timeouts]
            idle = "90s"
            [templates.words]
            program = "/usr/bin/words"
            env = { WORDS = "/usr/share/words" }
            rlimits = { nofile = [100, 200], core = 0 }
            warm = true
            "#,
        )
        .unwrap();
        assert_eq!(config.timeouts.idle, Duration::from_secs(90));
        assert!(config.templates["words"].warm);
        assert!(config.templates["words"].preloads.is_none());
    }

    #[test]
    fn wrong_ones_say_what_is_wrong() {
        for (text, expected) in [
            ("sockte = 1", "unknown field `sockte`"),
            ("[limits]\nworkers = 0", "limits.workers"),
            ("[limits]\nworkers = -1", "workers"),
            ("[limits]\nretained_events = 0", "limits.retained_events"),
            ("[timeouts]\nidle = \"soon\"", "idle"),
            ("[timeouts]\nfirst_call = \"0s\"", "timeouts.first_call"),
            ("[timeouts]\nhalf_closed = \"0s\"", "timeouts.half_closed"),
            ("[compaction]\ntime_limit = \"0s\"", "compaction.time_limit"),
            ("[timeouts]\nhello = \"0ms\"", "timeouts.hello"),
            ("[timeouts]\npreload = \"0s\"", "timeouts.preload"),
            ("[timeouts]\nfork = \"0s\"", "timeouts.fork"),
            ("socket = \"\"", "socket: must not be empty"),
            ("[templates.a]\nprogram = \"a\"", "absolute"),
            ("[templates.command]\nprogram = \"/a\"", "built-in"),
            ("[templates.\"a b\"]\nprogram = \"/a\"", "letters"),
            (
                "[templates.a]\nprogram = \"/a\"\nrlimits = { files = 3 }",
                "nofile",
            ),
            (
                "[templates.a]\nprogram = \"/a\"\nenv = { \"A=B\" = \"x\" }",
                "equals sign",
            ),
            ("[log]\nformat = \"xml\"", "xml"),
            ("[metrics]\nlisten = \"0.0.0.0:9464\"", "loopback"),
            ("[metrics]\nlisten = \"localhost:9464\"", "127.0.0.1:9464"),
            ("[metrics]\nlisten = \"unix:m.sock\"", "absolute"),
            (
                "[templates.a]\nprogram = \"/a\"\nspares = { min = 9 }",
                "min is over max",
            ),
            ("[limits]\ndescriptor_credit = 1", "descriptor_credit"),
            ("[limits]\nkept_output_total = 1000", "kept_output"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
