//! Between the wire's types and the standard library's.

use mpfork_proto::problem::Problem;
use prost_types::{Duration as WireDuration, Timestamp};
use std::time::{Duration, SystemTime};

/// A duration for the wire; an absurdly long one is cut.
pub(crate) fn to_wire(duration: Duration) -> WireDuration {
    WireDuration::try_from(duration).unwrap_or(WireDuration {
        seconds: i64::MAX,
        nanos: 0,
    })
}

/// A duration a client sent: not negative, and of a length a clock can hold.
pub(crate) fn from_wire(field: &str, duration: WireDuration) -> Result<Duration, Problem> {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Duration::try_from(duration)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| Problem::bad_request(field, "expected a duration from 0 to 100 years"))
}

/// A point in time for the wire.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::from(time)
}
