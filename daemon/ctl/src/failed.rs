//! What went wrong, for people and for programs.

use crate::render;
use crate::views::ExitView;
use mpfork::{Error, Problem, Reason};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Something was tried in vain.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What was tried.
    what: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// The daemon or the way to it.
    Client(Error),
    /// The command line asks for what can't be.
    Usage(String),
    /// The system refused something on this side; the exit status of sysexits.h.
    Here(String, u8),
    /// The worker itself, in a way its exit status alone does not tell.
    Worker(Box<ExitView>, u8),
}

/// `EX_OSFILE`, as of [`Error::System`]: no reason of the daemon's has it.
const HERE: u8 = 72;
/// `EX_DATAERR`.
const DATA: u8 = 65;

impl Failed {
    /// A call failed.
    pub(crate) fn call(what: impl Into<String>, error: Error) -> Self {
        Self {
            what: what.into(),
            why: Why::Client(error),
        }
    }

    /// The command line asks for what can't be.
    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: Why::Usage(why.into()),
        }
    }

    /// The system refused something.
    pub(crate) fn io(what: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self {
            what: what.into(),
            why: Why::Here(error.to_string(), HERE),
        }
    }

    /// What came can't be shown.
    pub(crate) fn data(what: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self {
            what: what.into(),
            why: Why::Here(error.to_string(), DATA),
        }
    }

    /// The worker failed, timed out or was lost.
    pub(crate) fn worker(what: impl Into<String>, exit: ExitView, code: u8) -> Self {
        Self {
            what: what.into(),
            why: Why::Worker(Box::new(exit), code),
        }
    }

    /// Whether the worker has told it already, on its own standard error.
    pub(crate) fn is_told(&self) -> bool {
        let Why::Worker(exit, _) = &self.why else {
            return false;
        };
        // One that could not even be started has nobody to say so.
        let began = exit
            .failure
            .as_ref()
            .is_none_or(|failure| failure.kind != "start");
        began && !matches!(exit.outcome, "timed_out" | "lost")
    }

    /// What mpctl exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match &self.why {
            Why::Client(error) => error.exit_code(),
            Why::Usage(_) => crate::USAGE,
            Why::Here(_, code) | Why::Worker(_, code) => *code,
        }
    }

    fn problem(&self) -> Option<&Problem> {
        match &self.why {
            Why::Client(Error::Server(problem)) => Some(problem),
            _ => None,
        }
    }

    /// The row of the table that fits, of which the advice is worth giving.
    fn reason(&self) -> Option<Reason> {
        match &self.why {
            Why::Client(Error::ServerLost { .. }) => Some(Reason::WorkerLost),
            Why::Client(error) => error.reason(),
            Why::Worker(exit, _) => exit.lost.as_ref().map(|_| Reason::WorkerLost),
            Why::Usage(_) | Why::Here(..) => None,
        }
    }

    fn message(&self) -> String {
        match &self.why {
            Why::Client(error) => error.to_string(),
            Why::Usage(why) => format!("{why}; see `mpctl --help`"),
            Why::Here(why, _) => why.clone(),
            Why::Worker(exit, _) => exit.explained(),
        }
    }

    /// Several lines: what and why, the details, the advice.
    pub(crate) fn text(&self) -> String {
        let message: Vec<_> = render::lines(&self.message()).collect();
        let mut text = format!("mpctl: {}: {}\n", self.what, message.join("\n"));
        if let Some(problem) = self.problem() {
            for name in ["trace", "output"] {
                let detail = problem.get(name);
                if !detail.trim().is_empty() {
                    let _ = writeln!(text, "{name}:");
                    for line in render::lines(detail) {
                        let _ = writeln!(text, "  | {line}");
                    }
                }
            }
        }
        if let Some(reason) = self.reason() {
            let _ = writeln!(text, "advice: {}", reason.row().advice);
        }
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let metadata = self.problem().map(|problem| &problem.metadata);
        let exit = match &self.why {
            Why::Worker(exit, _) => Some(exit),
            _ => None,
        };
        json!({"error": {
            "what": self.what,
            "message": self.message(),
            "reason": self.problem().map(|problem| problem.reason.wire_name()),
            "exit_code": self.exit_code(),
            "advice": self.reason().map(|reason| reason.row().advice),
            "metadata": metadata.cloned().unwrap_or_default(),
            "exit": exit,
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preload_failed() -> Failed {
        let problem = Problem::new(
            Reason::PreloadFailed,
            "preload \"index\" of vectors failed: no such file",
        )
        .with("template", "vectors")
        .with("message", "no such file")
        .with("trace", "src/main.rs:7\ncaused by: open\x1b[0m\n")
        .with("output", "loading /nowhere\n");
        Failed::call("warming template vectors", problem.into())
    }

    #[test]
    fn a_failed_preload_is_told_with_all_there_is() {
        assert_eq!(
            preload_failed().text(),
            "\
mpctl: warming template vectors: preload \"index\" of vectors failed: no such file
trace:
  | src/main.rs:7
  | caused by: open\\u{1b}[0m
output:
  | loading /nowhere
advice: correct what the preload reports, then `mpctl template reload`
"
        );
    }

    #[test]
    fn errors_in_json() {
        let json = preload_failed().json();
        let error = &json["error"];
        assert_eq!(error["reason"], "PRELOAD_FAILED");
        assert_eq!(error["exit_code"], 78);
        assert_eq!(error["metadata"]["message"], "no such file");
        let json = Failed::usage("run", "no").json();
        assert!(json["error"]["reason"].is_null());
        assert_eq!(json["error"]["metadata"], json!({}));
    }

    #[test]
    fn every_reason_has_its_exit_code_and_advice() {
        for row in mpfork_proto::reason::TABLE {
            let failed = Failed::call("x", Problem::new(row.reason, "y").into());
            assert_eq!(failed.exit_code(), row.exit_code);
            let text = failed.text();
            assert_eq!(text, format!("mpctl: x: y\nadvice: {}\n", row.advice));
        }
    }

    #[test]
    fn other_failures_have_codes_too() {
        let nobody = Error::from(mpfork::NoServer {
            tried: Vec::new(),
            demand: None,
        });
        let failed = Failed::call("x", nobody);
        assert_eq!(failed.exit_code(), 69);
        assert!(failed.text().contains("start one with `mpforkd`"));
        assert_eq!(Failed::usage("x", "y").exit_code(), 64);
        assert_eq!(Failed::io("x", "y").exit_code(), 72);
        let system = Error::System {
            doing: "opening".to_owned(),
            error: std::io::Error::other("no"),
        };
        assert_eq!(Failed::call("x", system).exit_code(), 72);
        assert_eq!(Failed::data("x", "y").exit_code(), 65);
        let lost = Error::ServerLost {
            socket: "/x".into(),
            cause: "it closed".to_owned(),
            asked: true,
        };
        let failed = Failed::call("x", lost);
        assert_eq!(failed.exit_code(), 70);
        assert!(failed.text().contains("\nadvice: start it again"));
    }
}
