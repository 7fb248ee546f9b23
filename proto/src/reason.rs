//! The table of errors: each [`Reason`] with its gRPC code, the exit code of `mpctl`, and what to do.

pub use crate::v1::Reason;

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "mpfork.dev";

/// Numbers of the gRPC codes in use, as in google/rpc/code.proto.
pub mod code {
    #![allow(missing_docs)]
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const DEADLINE_EXCEEDED: i32 = 4;
    pub const NOT_FOUND: i32 = 5;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const ABORTED: i32 = 10;
    pub const INTERNAL: i32 = 13;
    pub const UNAVAILABLE: i32 = 14;
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The reason this row is for.
    pub reason: Reason,
    /// The gRPC code that carries it.
    pub grpc_code: i32,
    /// What `mpctl` exits with.
    pub exit_code: u8,
    /// What to do about it, for people.
    pub advice: &'static str,
}

const fn row(reason: Reason, grpc_code: i32, exit_code: u8, advice: &'static str) -> Row {
    Row {
        reason,
        grpc_code,
        exit_code,
        advice,
    }
}

const INTERNAL: Row = row(
    Reason::Internal,
    code::INTERNAL,
    70,
    "this is a bug in mpforkd: please report it with the log",
);

/// Every reason, in the order of the enum.
///
/// Exit codes follow sysexits.h where one fits; 126 and 127 mean what they mean to a shell.
pub const TABLE: &[Row] = &[
    row(
        Reason::BadRequest,
        code::INVALID_ARGUMENT,
        64,
        "correct the field named",
    ),
    row(
        Reason::VersionMismatch,
        code::FAILED_PRECONDITION,
        76,
        "install the same version of mpforkd and of the client",
    ),
    row(
        Reason::PermissionDenied,
        code::PERMISSION_DENIED,
        77,
        "run as the user that mpforkd serves",
    ),
    row(
        Reason::DescriptorMissing,
        code::INVALID_ARGUMENT,
        65,
        "send the descriptor on the same connection as the call, before it",
    ),
    row(
        Reason::UnknownTemplate,
        code::NOT_FOUND,
        66,
        "see `mpctl template list`",
    ),
    row(
        Reason::UnknownWorker,
        code::NOT_FOUND,
        67,
        "see `mpctl ps --all`; ended workers are remembered for a limited number of exits",
    ),
    row(
        Reason::PreloadFailed,
        code::FAILED_PRECONDITION,
        78,
        "correct what the preload reports, then `mpctl template reload`",
    ),
    row(
        Reason::PreloadTimedOut,
        code::FAILED_PRECONDITION,
        79,
        "make the preload faster or raise its time limit",
    ),
    row(
        Reason::ZygoteHasThreads,
        code::FAILED_PRECONDITION,
        80,
        "start threads in the worker (after_fork) instead of in a preload",
    ),
    row(
        Reason::ZygoteFailed,
        code::UNAVAILABLE,
        81,
        "see the output; does the program call freeze_support() first thing in main?",
    ),
    row(
        Reason::ForkFailed,
        code::RESOURCE_EXHAUSTED,
        71,
        "raise the limit of processes or memory that the system error names",
    ),
    row(
        Reason::HookFailed,
        code::FAILED_PRECONDITION,
        82,
        "correct the hook",
    ),
    row(
        Reason::ExecFailed,
        code::FAILED_PRECONDITION,
        127,
        "check the command's name, its permissions and PATH",
    ),
    row(
        Reason::StartStateFailed,
        code::FAILED_PRECONDITION,
        126,
        "ask for a state the daemon's user may set",
    ),
    row(
        Reason::WorkerLost,
        code::ABORTED,
        70,
        "start it again; mpforkd's log tells how it was lost",
    ),
    row(
        Reason::LimitReached,
        code::RESOURCE_EXHAUSTED,
        75,
        "try again later, or raise the limit named in mpforkd's configuration",
    ),
    row(
        Reason::DeadlineExceeded,
        code::DEADLINE_EXCEEDED,
        74,
        "wait longer",
    ),
    row(
        Reason::ShuttingDown,
        code::UNAVAILABLE,
        69,
        "wait for the next mpforkd",
    ),
    row(
        Reason::ProgramRefused,
        code::FAILED_PRECONDITION,
        83,
        "use an ordinary executable that links mpfork",
    ),
    row(
        Reason::TemplateBusy,
        code::FAILED_PRECONDITION,
        84,
        "wait until what it is doing has ended",
    ),
    INTERNAL,
    row(
        Reason::AlreadyAttached,
        code::FAILED_PRECONDITION,
        85,
        "wait until the other one has ended",
    ),
    row(
        Reason::NotAttachable,
        code::FAILED_PRECONDITION,
        86,
        "start the worker with attached streams; see `mpctl logs` for what was kept",
    ),
    row(
        Reason::NotKept,
        code::FAILED_PRECONDITION,
        87,
        "look where the worker's streams were sent when it was started; `limits.kept_output` may be 0",
    ),
    row(
        Reason::Draining,
        code::UNAVAILABLE,
        88,
        "use another mpforkd, or take starts again with `mpctl drain --undo`",
    ),
];

impl Reason {
    /// The row of this reason; an unspecified one counts as internal.
    #[must_use]
    pub fn row(self) -> &'static Row {
        TABLE
            .iter()
            .find(|row| row.reason == self)
            .unwrap_or(&INTERNAL)
    }

    /// The name on the wire: `ErrorInfo.reason`.
    #[must_use]
    pub fn wire_name(self) -> &'static str {
        self.as_str_name()
            .strip_prefix("REASON_")
            .unwrap_or("UNSPECIFIED")
    }

    /// The reason of a name on the wire.
    #[must_use]
    pub fn from_wire_name(name: &str) -> Option<Self> {
        Self::from_str_name(&format!("REASON_{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_row() {
        let mut number = 1;
        while let Ok(reason) = Reason::try_from(number) {
            let rows = TABLE.iter().filter(|row| row.reason == reason).count();
            assert_eq!(rows, 1, "{reason:?}");
            assert_eq!(Reason::from_wire_name(reason.wire_name()), Some(reason));
            number += 1;
        }
        assert_eq!(usize::try_from(number - 1), Ok(TABLE.len()));
    }

    #[test]
    fn the_unspecified_reason_counts_as_internal() {
        assert_eq!(Reason::Unspecified.row().reason, Reason::Internal);
    }
}
