//! Every reason of the table of errors really occurs, with its gRPC code and its facts.
#![allow(clippy::unwrap_used)]

mod limits;
mod output;
mod requests;
mod starts;
mod templates;

use mpfork_proto::reason::{Reason, TABLE};

/// One test for each reason, and the list of them.
macro_rules! reasons {
    ($($reason:ident => $module:ident::$test:ident;)*) => {
        const COVERED: &[Reason] = &[$(Reason::$reason),*];
        $(
            #[test]
            fn $test() {
                $module::$test();
            }
        )*
    };
}

reasons! {
    BadRequest => requests::bad_request;
    VersionMismatch => requests::version_mismatch;
    PermissionDenied => requests::permission_denied;
    DescriptorMissing => requests::descriptor_missing;
    UnknownTemplate => requests::unknown_template;
    UnknownWorker => requests::unknown_worker;
    PreloadFailed => templates::preload_failed;
    PreloadTimedOut => templates::preload_timed_out;
    ZygoteHasThreads => templates::zygote_has_threads;
    ZygoteFailed => templates::zygote_failed;
    ForkFailed => starts::fork_failed;
    HookFailed => starts::hook_failed;
    ExecFailed => starts::exec_failed;
    StartStateFailed => starts::start_state_failed;
    WorkerLost => starts::worker_lost;
    LimitReached => limits::limit_reached;
    DeadlineExceeded => requests::deadline_exceeded;
    ShuttingDown => starts::shutting_down;
    Draining => starts::draining;
    ProgramRefused => templates::program_refused;
    TemplateBusy => templates::template_busy;
    AlreadyAttached => output::already_attached;
    NotAttachable => output::not_attachable;
    NotKept => output::not_kept;
}

/// Reasons that can't be made to occur from outside.
const NOT_COVERED: &[Reason] = &[
    // A bug in mpforkd, by its definition: a test that makes it occur is a bug report.
    Reason::Internal,
];

#[test]
fn every_reason_of_the_table_is_covered() {
    for row in TABLE {
        let times = COVERED.iter().chain(NOT_COVERED);
        let times = times.filter(|reason| **reason == row.reason).count();
        assert_eq!(times, 1, "{:?}", row.reason);
    }
}

#[test]
fn the_limit_of_open_files_is_reached() {
    limits::open_files();
}
