//! How a process ended.

use mpfork_proto::v1;
use mpfork_proto::v1::exit::{How, timed_out};
use std::fmt;
use std::time::Duration;

/// How a worker ended, and what is known about its life.
///
/// [`Exit::exitcode`] mirrors the `exitcode` of Python's `multiprocessing.Process`, which tells nothing else:
/// the others mirror no item of Python.
#[derive(Clone, PartialEq)]
pub struct Exit(v1::Exit);

/// In short: a failure's backtrace would hide all else.
impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exit")
            .field("how", &format_args!("{self}"))
            .field(
                "failure",
                &self.failure().map(|failure| failure.to_string()),
            )
            .field("leftovers", &self.leftovers().collect::<Vec<_>>())
            .field("not_applied", &self.not_applied())
            .field("run_time", &self.run_time())
            .finish_non_exhaustive()
    }
}

impl Exit {
    pub(crate) fn new(exit: v1::Exit) -> Self {
        Self(exit)
    }

    /// The message it came in.
    #[must_use]
    pub fn as_proto(&self) -> &v1::Exit {
        &self.0
    }

    /// Python's exit code: the code, minus the signal's number, 255 when the status was lost.
    #[must_use]
    pub fn exitcode(&self) -> i32 {
        self.0.exitcode()
    }

    /// What a shell would report: the code, 128 and the signal's number, 255 when it was lost.
    #[must_use]
    pub fn shell_code(&self) -> u8 {
        let code = match self.signal() {
            Some(signal) => 128_i32.saturating_add(signal),
            None => self.exitcode(),
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }

    /// True for code 0 within the time limit.
    #[must_use]
    pub fn success(&self) -> bool {
        self.0.success()
    }

    /// The code, when it ended by `exit`, be it after its time limit.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.0.how.as_ref()? {
            How::Code(code) => Some(*code),
            How::TimedOut(timed_out) => match timed_out.how.as_ref()? {
                timed_out::How::Code(code) => Some(*code),
                timed_out::How::Signaled(_) => None,
            },
            How::Signaled(_) | How::Lost(_) => None,
        }
    }

    /// The signal's number, when a signal ended it, be it after its time limit.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.signaled().map(|signaled| signaled.signal)
    }

    /// Whether a core was dumped.
    #[must_use]
    pub fn core_dumped(&self) -> bool {
        self.signaled().is_some_and(|signaled| signaled.core_dumped)
    }

    fn signaled(&self) -> Option<&v1::Signaled> {
        match self.0.how.as_ref()? {
            How::Signaled(signaled) => Some(signaled),
            How::TimedOut(timed_out) => match timed_out.how.as_ref()? {
                timed_out::How::Signaled(signaled) => Some(signaled),
                timed_out::How::Code(_) => None,
            },
            How::Code(_) | How::Lost(_) => None,
        }
    }

    /// The time limit, when it was ended because of it.
    #[must_use]
    pub fn timed_out(&self) -> Option<Duration> {
        match self.0.how.as_ref()? {
            How::TimedOut(timed_out) => Some(duration(timed_out.limit.as_ref())),
            _ => None,
        }
    }

    /// Why its status can't be known, when it can't.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        match &self.0.how {
            Some(How::Lost(lost)) => Some(&lost.reason),
            Some(_) => None,
            None => Some("the server did not tell"),
        }
    }

    /// The resources it used, when its status came from its parent.
    #[must_use]
    pub fn usage(&self) -> Option<&v1::Rusage> {
        self.0.rusage.as_ref()
    }

    /// The panic or the error that ended a function.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.0.failure.clone().map(Failure::new)
    }

    /// Processes of its group that outlived it and were killed: pid and name, at most 64.
    pub fn leftovers(&self) -> impl Iterator<Item = (i32, &str)> {
        let leftovers = self.0.leftovers.iter();
        leftovers.map(|process| (process.pid, process.comm.as_str()))
    }

    /// Wall-clock time from fork to exit.
    #[must_use]
    pub fn run_time(&self) -> Duration {
        duration(self.0.run_time.as_ref())
    }

    /// Parts of the start state that could not be applied, with the reason.
    #[must_use]
    pub fn not_applied(&self) -> &[String] {
        &self.0.not_applied
    }
}

#[cfg(unix)]
impl Exit {
    /// The exit of a worker of which only the raw wait status is known.
    pub(crate) fn from_raw(status: i32) -> Self {
        let how = mpfork_proto::exit::Ended::from_raw(status).into();
        Self(v1::Exit {
            how: Some(how),
            ..v1::Exit::default()
        })
    }

    /// The exit of a worker of which nothing is known.
    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self(v1::Exit {
            how: Some(How::Lost(v1::exit::Lost { reason })),
            ..v1::Exit::default()
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn duration(proto: Option<&prost_types::Duration>) -> Duration {
    proto
        .and_then(|duration| Duration::try_from(*duration).ok())
        .unwrap_or_default()
}

pub use mpfork_proto::v1::failure::Kind as FailureKind;

/// A panic or an error that ended a worker's function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The panic's or the error's own text.
    pub message: String,
    /// Where the panic was: file, line and column.
    pub location: Option<String>,
    /// The texts of the error's sources, outermost first.
    pub chain: Vec<String>,
    /// The panic's backtrace, when it was asked for.
    pub backtrace: Option<String>,
}

impl Failure {
    fn new(failure: v1::Failure) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            kind: failure.kind(),
            message: failure.message,
            location: some(failure.location),
            chain: failure.chain,
            backtrace: some(failure.backtrace),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FailureKind::Panic => "panicked",
            FailureKind::Argument => "its argument could not be read",
            FailureKind::Result => "its result could not be written",
            FailureKind::Hook => "a hook failed",
            FailureKind::Start => "it could not be started",
            FailureKind::Error | FailureKind::Unspecified => "error",
        })?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)?;
        for cause in &self.chain {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_for_python_and_for_shells() {
        let exit = Exit::from_raw(3 << 8);
        assert_eq!((exit.exitcode(), exit.shell_code()), (3, 3));
        assert_eq!((exit.code(), exit.signal()), (Some(3), None));
        let exit = Exit::from_raw(9 | 0x80);
        assert_eq!((exit.exitcode(), exit.shell_code()), (-9, 137));
        assert_eq!((exit.code(), exit.signal()), (None, Some(9)));
        assert!(exit.core_dumped());
        let exit = Exit::unknown("gone");
        assert_eq!((exit.exitcode(), exit.shell_code()), (255, 255));
        assert_eq!(exit.lost(), Some("gone"));
    }

    #[test]
    fn a_timed_out_exit_keeps_how_it_ended() {
        let exit = Exit::new(v1::Exit {
            how: Some(How::TimedOut(v1::exit::TimedOut {
                limit: Some(prost_types::Duration {
                    seconds: 2,
                    nanos: 0,
                }),
                how: Some(timed_out::How::Signaled(v1::Signaled {
                    signal: 15,
                    core_dumped: false,
                })),
            })),
            ..v1::Exit::default()
        });
        assert_eq!(exit.timed_out(), Some(Duration::from_secs(2)));
        assert_eq!((exit.signal(), exit.exitcode()), (Some(15), -15));
        assert!(!exit.success());
    }

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new(v1::Failure {
            kind: FailureKind::Panic.into(),
            message: "no".to_owned(),
            location: "a.rs:1:2".to_owned(),
            chain: vec!["because".to_owned()],
            ..v1::Failure::default()
        });
        assert_eq!(failure.to_string(), "panicked at a.rs:1:2: no: because");
        assert_eq!(failure.backtrace, None);
    }
}
