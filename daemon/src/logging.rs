//! What is logged; it can be changed while it runs. The newest records are kept for `ReadLogs`.

use crate::config::LogFormat;
use crate::convert::to_wire;
use crate::kept::Ring;
use crate::service::records;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// The longest filter, in bytes.
const LONGEST: usize = 4096;
/// How many bytes of records are kept.
const KEPT: usize = 256 << 10;
/// What carries calls tells of each frame: who follows the records would be sent frames because of
/// those that were just sent.
const CARRIERS: &str = "h2=info,hyper=info,hyper_util=info,tokio_util=info,tonic=info,tower=info";

static RECORDS: LazyLock<Arc<Ring>> = LazyLock::new(|| Arc::new(Ring::new(KEPT)));

/// The newest records, as they were written.
pub(crate) fn records() -> Arc<Ring> {
    Arc::clone(&RECORDS)
}

/// What is logged. Clones change the same.
#[derive(Debug, Clone)]
pub(crate) struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The one it was started with.
    original: String,
    /// The one that holds when no other one does for a while.
    lasting: String,
    passing: Option<Passing>,
    /// Counts changes.
    changes: u64,
}

/// A filter that holds for a while.
#[derive(Debug)]
struct Passing {
    filter: String,
    until: Instant,
    /// Of what puts the lasting one back.
    restoring: AbortHandle,
}

/// Sets up logging for the whole process. Without a format: to the journal where standard error goes
/// there, else text.
///
/// # Errors
/// When the filter can't be understood, or the journal that was asked for can't be reached.
pub(crate) fn init(filter: &str, format: Option<LogFormat>) -> Result<LogFilter, String> {
    let parsed =
        parse(filter).map_err(|error| format!("the log filter {filter:?} is wrong: {error}"))?;
    let (layer, handle) = reload::Layer::new(parsed);
    let (records, warning) = records::layer(format)?;
    let kept = fmt::layer().with_writer(|| Records).with_ansi(false);
    let kept = match format {
        Some(LogFormat::Json) => kept.json().boxed(),
        _ => kept.boxed(),
    };
    tracing_subscriber::registry()
        .with(layer)
        .with(records.and_then(kept))
        .init();
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok(LogFilter {
        handle,
        state: Arc::new(Mutex::new(State {
            original: filter.to_owned(),
            lasting: filter.to_owned(),
            passing: None,
            changes: 0,
        })),
    })
}

/// Without regular expressions: whoever may set a filter need not be able to slow everything down.
pub(crate) fn parse(filter: &str) -> Result<EnvFilter, String> {
    if filter.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    // More than that of everything is not meant of those that carry calls, unless they are named.
    let of_everything = |directive: &str| directive.trim().parse::<LevelFilter>().ok();
    let levels = filter.split(',').filter_map(of_everything);
    let builder = EnvFilter::builder().with_regex(false);
    let parsed = match levels.max() {
        // What comes later holds.
        Some(level) if level > LevelFilter::INFO => builder.parse(format!("{CARRIERS},{filter}")),
        _ => builder.parse(filter),
    };
    parsed.map_err(|error| error.to_string())
}

impl LogFilter {
    /// Changes it, for good or for a while; an empty filter is the one it was started with.
    pub(crate) fn set(&self, filter: &str, duration: Option<Duration>) -> Result<(), Problem> {
        let mut state = self.state();
        let filter = if filter.is_empty() {
            state.original.clone()
        } else {
            filter.to_owned()
        };
        let parsed = parse(&filter).map_err(|error| Problem::bad_request("filter", error))?;
        // Told before, as it may be what is not told any more.
        tracing::info!(filter, ?duration, "the log filter is changed");
        self.apply(parsed)?;
        state.changes += 1;
        if let Some(overtaken) = state.passing.take() {
            overtaken.restoring.abort();
        }
        match duration {
            None => state.lasting.clone_from(&filter),
            Some(duration) => {
                let until = Instant::now() + duration;
                let restoring = tokio::spawn(self.clone().restore(until, state.changes));
                state.passing = Some(Passing {
                    filter,
                    until,
                    restoring: restoring.abort_handle(),
                });
            }
        }
        drop(state);
        Ok(())
    }

    /// Puts the lasting filter back, unless it was changed again meanwhile.
    async fn restore(self, until: Instant, change: u64) {
        tokio::time::sleep_until(until.into()).await;
        let mut state = self.state();
        if state.changes != change {
            return;
        }
        state.passing = None;
        let filter = state.lasting.clone();
        let applied = parse(&filter)
            .map_err(|error| Problem::bad_request("filter", error))
            .and_then(|parsed| self.apply(parsed));
        drop(state);
        match applied {
            Ok(()) => tracing::info!(filter, "the log filter is as before again"),
            Err(problem) => tracing::error!(filter, %problem, "can't restore the log filter"),
        }
    }

    fn apply(&self, parsed: EnvFilter) -> Result<(), Problem> {
        self.handle.reload(parsed).map_err(|error| {
            Problem::new(Reason::Internal, "can't change the log filter").with("detail", error)
        })
    }

    /// For the wire.
    pub(crate) fn describe(&self) -> v1::LogFilter {
        let state = self.state();
        match &state.passing {
            None => v1::LogFilter {
                filter: state.lasting.clone(),
                ..v1::LogFilter::default()
            },
            Some(passing) => v1::LogFilter {
                filter: passing.filter.clone(),
                left: Some(to_wire(
                    passing.until.saturating_duration_since(Instant::now()),
                )),
                afterwards: state.lasting.clone(),
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for fine in [
            "info",
            "mpforkd=debug,warn",
            "mpforkd::worker[x{y=1}]=trace",
            "off",
        ] {
            assert!(parse(fine).is_ok(), "{fine}");
        }
        for wrong in ["mpforkd=loud", "=", "a=b=c", &"x".repeat(LONGEST + 1)] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
