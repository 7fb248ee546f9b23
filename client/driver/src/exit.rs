//! How a worker ended, put together from what its parent and the worker itself have told.

use crate::control::Reports;
use crate::duration::to_wire;
use mpfork_proto::exit::Ended;
use mpfork_proto::v1::{self, Failure, Process, Rusage, failure};
use nix::sys::signal::Signal;
use std::fmt;
use std::time::Duration;

/// How a child of this process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildStatus(pub Ended);

impl fmt::Display for ChildStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ended::Code(code) => write!(f, "exit code {code}"),
            Ended::Signal { signal, core } => {
                let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
                let core = if core { ", core dumped" } else { "" };
                write!(f, "signal {signal}, {name}{core}")
            }
        }
    }
}

/// What is known at a worker's end.
#[derive(Debug, Default)]
pub struct Known {
    /// The raw wait status.
    pub status: Option<i32>,
    /// Why there is none, where there is none.
    pub lost: &'static str,
    /// The wall-clock limit that has passed.
    pub timed_out: Option<Duration>,
    /// From its parent.
    pub rusage: Option<Rusage>,
    /// Processes of its group that outlived it.
    pub leftovers: Vec<Process>,
    /// Since it was forked.
    pub run_time: Duration,
}

/// The exit of a worker that has reported this.
#[must_use]
pub fn exit(known: Known, reports: Reports) -> v1::Exit {
    v1::Exit {
        how: Some(how(known.status, known.lost, known.timed_out)),
        rusage: known.rusage,
        failure: failed(&reports),
        leftovers: known.leftovers,
        run_time: Some(to_wire(known.run_time)),
        not_applied: reports.applied.map_or_else(Vec::new, |a| a.not_applied),
    }
}

fn how(status: Option<i32>, lost: &str, timed_out: Option<Duration>) -> v1::exit::How {
    let Some(raw) = status else {
        return v1::exit::How::Lost(v1::exit::Lost {
            reason: lost.to_owned(),
        });
    };
    let ended = Ended::from_raw(raw);
    match timed_out {
        None => ended.into(),
        Some(limit) => v1::exit::How::TimedOut(v1::exit::TimedOut {
            limit: Some(to_wire(limit)),
            how: Some(ended.into()),
        }),
    }
}

fn failed(reports: &Reports) -> Option<Failure> {
    if let Some(failure) = &reports.failure {
        return Some(failure.clone());
    }
    reports.start_failed.as_ref().map(|failed| Failure {
        kind: failure::Kind::Start.into(),
        message: format!("{}: {}", failed.what, failed.message),
        ..Failure::default()
    })
}
