//! What is shown, as JSON and as text: made once from the daemon's messages.

mod compaction;
mod event;
mod status;
mod template;
mod worker;

pub(crate) use compaction::{CompactionView, StepView};
pub(crate) use event::{EventView, NewsView, kind_name, kinds};
pub(crate) use status::{ConfigurationView, LogFilterView, StatusView};
pub(crate) use template::{SavingView, TemplateView};
pub(crate) use worker::{ExitView, WorkerView};

#[cfg(test)]
pub(crate) use status::samples;

use mpfork_proto::v1::StartWay;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A length of time in seconds, by the fields of its message.
macro_rules! seconds {
    ($duration:expr) => {
        $duration
            .as_ref()
            .map(|duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
    };
}
pub(crate) use seconds;

/// A point in time, by the fields of its message.
macro_rules! time {
    ($timestamp:expr) => {
        $timestamp
            .as_ref()
            .map(|timestamp| crate::views::system_time(timestamp.seconds, timestamp.nanos))
    };
}
pub(crate) use time;

pub(crate) fn system_time(seconds: i64, nanos: i32) -> SystemTime {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let nanos = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    UNIX_EPOCH
        .checked_add(seconds + nanos)
        .unwrap_or(UNIX_EPOCH)
}

/// How long ago, in seconds; a clock that was set back makes no age.
pub(crate) fn age(since: SystemTime, now: SystemTime) -> f64 {
    now.duration_since(since).unwrap_or_default().as_secs_f64()
}

/// Bytes that are not UTF-8 are shown as replacement characters.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An empty text is none.
pub(crate) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// How a worker is made; nothing where a daemon of another version does not say.
pub(crate) fn way_name(way: StartWay) -> Option<&'static str> {
    match way {
        StartWay::Unspecified => None,
        StartWay::Fork => Some("fork"),
        StartWay::Spare => Some("spare"),
        StartWay::Spawn => Some("spawn"),
    }
}
