//! Configuration files that people write.

use mpforkd::config::{Config, ConfigError};
use std::path::Path;

/// Any text: what is refused says why, and what is accepted can be served with.
///
/// # Panics
/// When it does not, or can't.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, Path::new("mpforkd.toml")) {
        Ok(config) => {
            let limits = &config.limits;
            for limit in [limits.workers, limits.connections, limits.waiting_starts] {
                assert!(limit > 0);
            }
            assert!(limits.templates > config.templates.len());
            for (name, template) in &config.templates {
                assert!(!name.is_empty() && template.program.is_absolute());
            }
        }
        Err(ConfigError::Parse { source, .. }) => assert!(!source.message().is_empty()),
        Err(ConfigError::Value { field, detail }) => {
            assert!(!field.is_empty() && !detail.is_empty());
        }
        Err(error @ ConfigError::Read { .. }) => panic!("{error}"),
    }
}
