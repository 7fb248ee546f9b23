//! The deadline a call itself may bring, in gRPC's `grpc-timeout` header.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use std::time::{Duration, Instant};
use tonic::metadata::MetadataMap;

const HEADER: &str = "grpc-timeout";
/// An answer is given this much of the deadline before it, so that it arrives in time; past the
/// deadline gRPC itself gives up, and tells no reason.
const SHARE: u32 = 10;
const EARLIEST: Duration = Duration::from_millis(100);

/// Until when a call is to be answered, if it says so.
pub(super) fn of(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get(HEADER)?.to_str().ok()?;
    let deadline = parse(text)?;
    // One beyond what a clock can hold is none.
    Instant::now().checked_add(deadline - (deadline / SHARE).min(EARLIEST))
}

/// The deadline of a call has passed.
pub(crate) fn passed(what: &str) -> Problem {
    Problem::new(
        Reason::DeadlineExceeded,
        format!("the call's own deadline passed: {what}"),
    )
    .with("what", what)
}

/// A number of at most eight digits and its unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Runs a call no longer than it may take. What it has begun goes on.
pub(super) async fn within<T>(
    deadline: Option<Instant>,
    verb: &str,
    call: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let Some(deadline) = deadline else {
        return call.await;
    };
    match tokio::time::timeout_at(deadline.into(), call).await {
        Ok(result) => result,
        Err(_) => Err(passed(verb)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        for wrong in ["", "S", "1", "-1S", "1x", "123456789S", "1é", "+1S"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
