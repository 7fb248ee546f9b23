//! Durations on the wire.

use mpfork_proto::problem::Problem;
use prost_types::Duration as WireDuration;
use std::time::Duration;

/// A duration for the wire; an absurdly long one is cut.
#[must_use]
pub fn to_wire(duration: Duration) -> WireDuration {
    WireDuration::try_from(duration).unwrap_or(WireDuration {
        seconds: i64::MAX,
        nanos: 0,
    })
}

/// A duration that was sent: not negative, and of a length a clock can hold.
///
/// # Errors
/// Names `field`.
pub fn from_wire(field: &str, duration: WireDuration) -> Result<Duration, Problem> {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    Duration::try_from(duration)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| Problem::bad_request(field, "expected a duration from 0 to 100 years"))
}
