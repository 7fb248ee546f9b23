//! The journal, for a daemon whose standard error goes there.

use std::os::unix::fs::MetadataExt as _;

/// Whether standard error is the journal's own stream: what `JOURNAL_STREAM` names is still there.
pub(crate) fn is_standard_error() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|file| is_same(&stream, file.dev(), file.ino()))
}

/// `device:inode`, in decimal.
fn is_same(stream: &str, device: u64, inode: u64) -> bool {
    stream
        .split_once(':')
        .is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

/// Records as the journal's entries: priority, message, each field by name, code location.
pub(crate) fn layer() -> std::io::Result<tracing_journald::Layer> {
    let layer = tracing_journald::layer()?
        .with_field_prefix(Some("MPFORKD".to_owned()))
        .with_syslog_identifier("mpforkd".to_owned());
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_device_and_inode() {
        assert!(is_same("8:12", 8, 12));
        for other in ["", ":", "8", "8:13", "9:12", "8:12:1", "a:b"] {
            assert!(!is_same(other, 8, 12), "{other}");
        }
    }
}
