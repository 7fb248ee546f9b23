//! Where records go: to standard error, as text or JSON, or to the journal.

use super::journal;
use crate::config::LogFormat;
use tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

type Output<S> = Box<dyn Layer<S> + Send + Sync>;

/// The layer that writes records, and a warning when they don't go where they should. Without a format
/// that is the journal where standard error goes there, else text.
///
/// # Errors
/// When the journal that was asked for can't be reached.
pub(crate) fn layer<S>(format: Option<LogFormat>) -> Result<(Output<S>, Option<String>), String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let unreachable = |error: &std::io::Error| format!("the journal can't be reached: {error}");
    Ok(match format {
        Some(LogFormat::Text) => (text(), None),
        Some(LogFormat::Json) => {
            let layer = fmt::layer().with_writer(std::io::stderr).json();
            (layer.boxed(), None)
        }
        Some(LogFormat::Journal) => {
            let layer = journal::layer().map_err(|error| unreachable(&error))?;
            (layer.boxed(), None)
        }
        None if journal::is_standard_error() => match journal::layer() {
            Ok(layer) => (layer.boxed(), None),
            // Standard error goes there all the same.
            Err(error) => {
                let warning = unreachable(&error);
                (
                    text(),
                    Some(format!("{warning}; records are text on standard error")),
                )
            }
        },
        None => (text(), None),
    })
}

fn text<S>() -> Output<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .boxed()
}
