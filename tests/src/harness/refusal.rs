//! Errors, checked against the contract.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use tonic::Status;

const CONTRACT: &str = include_str!("../../../proto/proto/mpfork/v1/errors.proto");

/// Checks that a call failed for this reason: with its gRPC code, and with all the facts that the
/// contract names for it.
///
/// # Panics
/// When anything is otherwise.
pub fn refused<T>(result: Result<T, Status>, reason: Reason) -> Problem {
    let Err(status) = result else {
        panic!("not refused, expected {reason:?}");
    };
    let Some(problem) = Problem::from_status(&status) else {
        panic!("no reason, expected {reason:?}: {status:?}");
    };
    assert_eq!(problem.reason, reason, "{problem:?}");
    assert_eq!(i32::from(status.code()), reason.row().grpc_code);
    assert!(!problem.message.is_empty());
    for fact in facts(reason) {
        assert!(
            problem.metadata.contains_key(&fact),
            "{reason:?} must tell {fact}: {problem:?}"
        );
    }
    problem
}

/// As [`refused`], of a request whose field of this name is wrong.
///
/// # Panics
/// When it was not refused for that.
pub fn refused_field<T>(result: Result<T, Status>, field: &str) -> Problem {
    let problem = refused(result, Reason::BadRequest);
    assert_eq!(problem.get("field"), field, "{problem}");
    problem
}

/// The names of the facts that the contract documents for a reason.
///
/// # Panics
/// When it documents none.
#[must_use]
pub fn facts(reason: Reason) -> Vec<String> {
    let mut comment = String::new();
    for line in CONTRACT.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
        } else if line.starts_with(reason.as_str_name()) {
            let (_, facts) = comment.split_once("metadata:").unwrap();
            let names = facts.trim().trim_end_matches('.').split(", ");
            let names = names.filter(|name| *name != "none");
            return names.map(str::to_owned).collect();
        } else {
            comment.clear();
        }
    }
    panic!("{reason:?} is not in the contract")
}
