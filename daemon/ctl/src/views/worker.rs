//! A worker, and how one ended.

use super::{age, seconds, some, time, way_name};
use crate::values::signal_name;
use mpfork_proto::v1::exit::{How, timed_out};
use mpfork_proto::v1::failure::Kind;
use mpfork_proto::v1::{self, OnOwnerDeath};
use serde::Serialize;
use std::time::SystemTime;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) worker: String,
    pub(crate) pid: i32,
    pub(crate) name: Option<String>,
    pub(crate) template: String,
    pub(crate) template_name: String,
    pub(crate) task: String,
    /// How it was made: `fork`, `spare` or `spawn`.
    pub(crate) way: Option<&'static str>,
    pub(crate) started_at: Option<String>,
    pub(crate) age_seconds: f64,
    pub(crate) running: bool,
    pub(crate) exit: Option<ExitView>,
    /// Nothing for a detached one.
    pub(crate) on_owner_death: Option<&'static str>,
    pub(crate) owner_pid: Option<i32>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) private_bytes: Option<u64>,
}

impl WorkerView {
    pub(crate) fn new(worker: v1::Worker, now: SystemTime) -> Self {
        let started = time!(worker.started);
        let on_owner_death = match worker.on_owner_death() {
            OnOwnerDeath::Unspecified => None,
            OnOwnerDeath::Keep => Some("keep"),
            OnOwnerDeath::End => Some("end"),
        };
        let memory = worker.memory;
        let way = way_name(worker.way());
        Self {
            worker: worker.worker.unwrap_or_default().to_string(),
            pid: worker.pid,
            name: some(worker.name),
            template: worker.template,
            template_name: worker.template_name,
            task: worker.task,
            way,
            started_at: started.map(|time| humantime::format_rfc3339_millis(time).to_string()),
            age_seconds: started.map_or(0.0, |started| age(started, now)),
            running: worker.exit.is_none(),
            exit: worker.exit.as_ref().map(ExitView::new),
            on_owner_death,
            owner_pid: (worker.owner_pid != 0).then_some(worker.owner_pid),
            rss_bytes: memory.map(|memory| memory.rss_bytes),
            pss_bytes: memory.map(|memory| memory.pss_bytes),
            private_bytes: memory.map(|memory| memory.private_bytes),
        }
    }

    /// Its template as `mpctl status` shows it: programs that were registered may have the same name.
    pub(crate) fn template_label(&self) -> String {
        match self.template.get(..8) {
            Some(short) if self.template != self.template_name => {
                format!("{} {short}", self.template_name)
            }
            _ => self.template.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ExitView {
    /// `code`, `signal`, `timed_out` or `lost`.
    pub(crate) outcome: &'static str,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) signal_name: Option<&'static str>,
    pub(crate) core_dumped: bool,
    /// As Python's multiprocessing has it: minus the signal's number, 255 when it was lost.
    pub(crate) exitcode: i32,
    pub(crate) time_limit_seconds: Option<f64>,
    pub(crate) lost: Option<String>,
    pub(crate) run_seconds: Option<f64>,
    pub(crate) user_seconds: Option<f64>,
    pub(crate) system_seconds: Option<f64>,
    pub(crate) max_rss_bytes: Option<u64>,
    pub(crate) failure: Option<FailureView>,
    pub(crate) leftovers: Vec<ProcessView>,
    pub(crate) not_applied: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FailureView {
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) chain: Vec<String>,
    pub(crate) backtrace: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ProcessView {
    pub(crate) pid: i32,
    pub(crate) comm: String,
}

impl ExitView {
    pub(crate) fn new(exit: &v1::Exit) -> Self {
        let signaled = |s: &v1::Signaled| (None, Some(s.signal), s.core_dumped);
        let (outcome, (code, signal, core_dumped)) = match &exit.how {
            Some(How::Code(code)) => ("code", (Some(*code), None, false)),
            Some(How::Signaled(s)) => ("signal", signaled(s)),
            Some(How::TimedOut(timed_out)) => (
                "timed_out",
                match &timed_out.how {
                    Some(timed_out::How::Code(code)) => (Some(*code), None, false),
                    Some(timed_out::How::Signaled(s)) => signaled(s),
                    None => (None, None, false),
                },
            ),
            Some(How::Lost(_)) | None => ("lost", (None, None, false)),
        };
        let rusage = exit.rusage.as_ref();
        let leftovers = exit.leftovers.iter().map(|process| ProcessView {
            pid: process.pid,
            comm: process.comm.clone(),
        });
        Self {
            outcome,
            code,
            signal,
            signal_name: signal.and_then(signal_name),
            core_dumped,
            exitcode: exit.exitcode(),
            time_limit_seconds: match &exit.how {
                Some(How::TimedOut(timed_out)) => seconds!(timed_out.limit),
                _ => None,
            },
            lost: match &exit.how {
                Some(How::Lost(lost)) => Some(lost.reason.clone()),
                Some(_) => None,
                None => Some("the daemon did not tell".to_owned()),
            },
            run_seconds: seconds!(exit.run_time),
            user_seconds: rusage.and_then(|rusage| seconds!(rusage.user)),
            system_seconds: rusage.and_then(|rusage| seconds!(rusage.system)),
            max_rss_bytes: rusage.map(|rusage| rusage.max_rss_bytes),
            failure: exit.failure.as_ref().map(FailureView::new),
            leftovers: leftovers.collect(),
            not_applied: exit.not_applied.clone(),
        }
    }

    /// In a few words: `exit 3`, `signal 9 (KILL)`, `timed out`, `lost`.
    pub(crate) fn summary(&self) -> String {
        match (self.outcome, self.code, self.signal) {
            ("code", Some(code), _) => format!("exit {code}"),
            ("signal", _, Some(signal)) => {
                let name = self
                    .signal_name
                    .map_or_else(String::new, |n| format!(" ({n})"));
                let core = if self.core_dumped {
                    ", core dumped"
                } else {
                    ""
                };
                format!("signal {signal}{name}{core}")
            }
            ("timed_out", ..) => "timed out".to_owned(),
            _ => "lost".to_owned(),
        }
    }

    /// In a sentence, for what a summary does not tell.
    pub(crate) fn explained(&self) -> String {
        let mut text = self.summary();
        if let Some(limit) = self.time_limit_seconds {
            text.push_str(&format!(" after {}", crate::render::duration(limit)));
            match (self.code, self.signal) {
                (Some(code), _) => text.push_str(&format!(", then exit {code}")),
                (_, Some(signal)) => text.push_str(&format!(", then signal {signal}")),
                (None, None) => {}
            }
        }
        if let Some(reason) = &self.lost {
            text.push_str(&format!(": {reason}"));
        }
        if let Some(failure) = &self.failure {
            text.push_str(&format!(": {}", failure.message));
        }
        text
    }
}

impl FailureView {
    fn new(failure: &v1::Failure) -> Self {
        Self {
            kind: match failure.kind() {
                Kind::Panic => "panic",
                Kind::Argument => "argument",
                Kind::Result => "result",
                Kind::Hook => "hook",
                Kind::Start => "start",
                Kind::Error | Kind::Unspecified => "error",
            },
            message: failure.message.clone(),
            location: some(failure.location.clone()),
            chain: failure.chain.clone(),
            backtrace: some(failure.backtrace.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(how: How) -> v1::Exit {
        v1::Exit {
            how: Some(how),
            ..v1::Exit::default()
        }
    }

    #[test]
    fn summaries() {
        let signaled = |signal, core_dumped| v1::Signaled {
            signal,
            core_dumped,
        };
        let timed_out = How::TimedOut(v1::exit::TimedOut {
            limit: Some(prost_types::Duration {
                seconds: 2,
                nanos: 500_000_000,
            }),
            how: Some(timed_out::How::Signaled(signaled(15, false))),
        });
        let lost = How::Lost(v1::exit::Lost {
            reason: "gone".to_owned(),
        });
        for (how, summary) in [
            (How::Code(3), "exit 3"),
            (How::Signaled(signaled(9, false)), "signal 9 (KILL)"),
            (
                How::Signaled(signaled(6, true)),
                "signal 6 (ABRT), core dumped",
            ),
            (How::Signaled(signaled(40, false)), "signal 40"),
            (timed_out.clone(), "timed out"),
            (lost, "lost"),
        ] {
            assert_eq!(ExitView::new(&exit(how)).summary(), summary);
        }
        let view = ExitView::new(&exit(timed_out));
        assert_eq!(view.time_limit_seconds, Some(2.5));
        assert_eq!(view.explained(), "timed out after 2.5s, then signal 15");
        assert_eq!((view.signal, view.exitcode), (Some(15), -15));
        assert_eq!(ExitView::new(&v1::Exit::default()).outcome, "lost");
    }

    #[test]
    fn a_worker_in_json() {
        let worker = v1::Worker {
            worker: Some("ab-3".parse().unwrap()),
            pid: 17,
            started: Some(prost_types::Timestamp {
                seconds: 1_799_999_990,
                nanos: 0,
            }),
            exit: Some(exit(How::Code(0))),
            way: v1::StartWay::Spare.into(),
            ..v1::Worker::default()
        };
        let now = crate::views::samples::now();
        let json = serde_json::to_value(WorkerView::new(worker, now)).unwrap();
        assert_eq!(json["worker"], "ab-3");
        assert_eq!(json["age_seconds"], 10.0);
        assert_eq!(json["started_at"], "2027-01-15T07:59:50.000Z");
        assert_eq!(json["running"], false);
        assert_eq!(json["way"], "spare");
        assert_eq!(json["exit"]["outcome"], "code");
        assert!(json["owner_pid"].is_null());
        assert!(json["on_owner_death"].is_null());
    }
}
