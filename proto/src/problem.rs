//! An error of the API before it is a gRPC status, and after.

use crate::reason::Reason;
use std::collections::BTreeMap;

/// The longest message, in bytes. Statuses travel as HTTP/2 headers, which stock clients limit to
/// 8 KiB in all; the message travels twice, once percent-encoded, and the rest in base64.
const MAX_MESSAGE: usize = 800;
/// The longest metadata value, in bytes.
const MAX_VALUE: usize = 2000;
/// The most bytes of metadata in one error.
const MAX_METADATA: usize = 2800;

/// Why a call failed: a reason, a sentence, and the facts by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The reason, one of the table.
    pub reason: Reason,
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// The facts the reason's documentation names.
    pub metadata: BTreeMap<String, String>,
}

impl Problem {
    /// A problem without metadata.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.metadata.insert(name.to_owned(), value.to_string());
        self
    }

    /// A malformed request: which field, and what is wrong with it.
    #[must_use]
    pub fn bad_request(field: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(
            Reason::BadRequest,
            format!("bad request: {field}: {detail}"),
        )
        .with("field", field)
        .with("detail", detail)
    }

    /// A limit that was reached.
    #[must_use]
    pub fn limit(limit: &str, value: impl std::fmt::Display) -> Self {
        Self::new(
            Reason::LimitReached,
            format!("limit reached: {limit} ({value})"),
        )
        .with("limit", limit)
        .with("value", value)
    }

    /// A fact by name; empty when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.metadata.get(name).map_or("", String::as_str)
    }

    /// The same with long texts cut so that the whole fits the headers of a stock client.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        truncate(&mut self.message, MAX_MESSAGE);
        let mut room = MAX_METADATA;
        for value in self.metadata.values_mut() {
            truncate(value, MAX_VALUE.min(room));
            room = room.saturating_sub(value.len());
        }
        self
    }
}

fn truncate(text: &mut String, max: usize) {
    const MARK: &str = "…";
    if text.len() <= max {
        return;
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if max >= MARK.len() {
        text.push_str(MARK);
    }
}

#[cfg(feature = "grpc")]
mod grpc {
    use super::Problem;
    use crate::reason::{DOMAIN, Reason};
    use tonic_types::{ErrorDetails, StatusExt as _};

    impl From<Problem> for tonic::Status {
        fn from(problem: Problem) -> Self {
            let problem = problem.bounded();
            let details = ErrorDetails::with_error_info(
                problem.reason.wire_name(),
                DOMAIN,
                problem
                    .metadata
                    .into_iter()
                    .collect::<std::collections::HashMap<_, _>>(),
            );
            tonic::Status::with_error_details(
                tonic::Code::from_i32(problem.reason.row().grpc_code),
                problem.message,
                details,
            )
        }
    }

    impl Problem {
        /// The problem a status carries, if it came from mpforkd.
        #[must_use]
        pub fn from_status(status: &tonic::Status) -> Option<Self> {
            let info = status.get_details_error_info()?;
            if info.domain != DOMAIN {
                return None;
            }
            Some(Self {
                reason: Reason::from_wire_name(&info.reason).unwrap_or(Reason::Internal),
                message: status.message().to_owned(),
                metadata: info.metadata.into_iter().collect(),
            })
        }
    }
}

#[cfg(all(test, feature = "grpc"))]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_way_over_grpc() {
        let problem = Problem::bad_request("spec.name", "longer than 256 bytes");
        let status = tonic::Status::from(problem.clone());
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(Problem::from_status(&status), Some(problem));
    }

    #[test]
    fn long_texts_are_cut_to_fit_headers() {
        let problem = Problem::new(Reason::PreloadFailed, "é".repeat(9000))
            .with("message", "é".repeat(9000))
            .with("trace", "é".repeat(9000));
        let status = tonic::Status::from(problem);
        let on_the_wire = status.message().len() * 3 + status.details().len() * 4 / 3;
        assert!(on_the_wire < 8000, "{on_the_wire}");
        let back = Problem::from_status(&status).unwrap();
        assert!(back.get("trace").ends_with('…') || back.get("message").ends_with('…'));
    }

    #[test]
    fn a_foreign_status_is_no_problem_of_ours() {
        assert_eq!(
            Problem::from_status(&tonic::Status::unavailable("closed")),
            None
        );
    }
}
