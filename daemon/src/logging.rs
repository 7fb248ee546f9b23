//! Records go to standard error, as text or JSON; the newest are kept for `ReadLogs`.

use crate::config::LogFormat;
use crate::kept::Ring;
use std::io;
use std::sync::{Arc, LazyLock};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How many bytes of records are kept.
const KEPT: usize = 256 << 10;

static RECORDS: LazyLock<Arc<Ring>> = LazyLock::new(|| Arc::new(Ring::new(KEPT)));

/// The newest records, as they were written.
pub(crate) fn records() -> Arc<Ring> {
    Arc::clone(&RECORDS)
}

/// Sets up logging for the whole process.
///
/// # Errors
/// When the filter can't be understood.
pub(crate) fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("the log filter {filter:?} is wrong: {error}"))?;
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(|| Records)
        .with_ansi(false);
    let (stderr, kept) = match format {
        LogFormat::Text => (stderr.boxed(), kept.boxed()),
        LogFormat::Json => (stderr.json().boxed(), kept.json().boxed()),
    };
    tracing_subscriber::registry()
        .with(stderr.and_then(kept).with_filter(filter))
        .init();
    Ok(())
}

/// Writes a record to those kept.
struct Records;

impl io::Write for Records {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        RECORDS.push(record);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
