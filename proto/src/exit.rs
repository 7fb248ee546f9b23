//! Exit statuses: from the kernel's raw status to the wire and to Python's convention.

use crate::v1::{Exit, Signaled, exit};
use std::fmt;

/// How a process ended, decoded from a raw wait status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By `exit` with this code, 0 to 255.
    Code(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl Ended {
    /// Decodes a raw wait status, whose encoding is the same on Linux and macOS.
    #[must_use]
    pub fn from_raw(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) & 0xff),
            signal => Self::Signal {
                signal,
                core: status & 0x80 != 0,
            },
        }
    }
}

impl From<Ended> for exit::How {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Code(code) => Self::Code(code),
            Ended::Signal { signal, core } => Self::Signaled(Signaled {
                signal,
                core_dumped: core,
            }),
        }
    }
}

impl From<Ended> for exit::timed_out::How {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Code(code) => Self::Code(code),
            Ended::Signal { signal, core } => Self::Signaled(Signaled {
                signal,
                core_dumped: core,
            }),
        }
    }
}

/// The exit code of a worker whose status was lost, as in Python's forkserver.
pub const LOST: i32 = 255;

impl Exit {
    /// Python's convention: the code, minus the signal, 255 when the status was lost.
    #[must_use]
    pub fn exitcode(&self) -> i32 {
        match &self.how {
            Some(exit::How::Code(code)) => *code,
            Some(exit::How::Signaled(signaled)) => -signaled.signal,
            Some(exit::How::TimedOut(timed_out)) => match &timed_out.how {
                Some(exit::timed_out::How::Code(code)) => *code,
                Some(exit::timed_out::How::Signaled(signaled)) => -signaled.signal,
                None => LOST,
            },
            Some(exit::How::Lost(_)) | None => LOST,
        }
    }

    /// True for exit code 0 within the time limit.
    #[must_use]
    pub fn success(&self) -> bool {
        matches!(self.how, Some(exit::How::Code(0)))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signaled = |f: &mut fmt::Formatter<'_>, s: &Signaled| {
            let core = if s.core_dumped { ", core dumped" } else { "" };
            write!(f, "signal {}{core}", s.signal)
        };
        match &self.how {
            Some(exit::How::Code(code)) => write!(f, "exit code {code}"),
            Some(exit::How::Signaled(s)) => signaled(f, s),
            Some(exit::How::TimedOut(timed_out)) => {
                f.write_str("timed out, then ")?;
                match &timed_out.how {
                    Some(exit::timed_out::How::Code(code)) => write!(f, "exit code {code}"),
                    Some(exit::timed_out::How::Signaled(s)) => signaled(f, s),
                    None => f.write_str("lost"),
                }
            }
            Some(exit::How::Lost(lost)) => write!(f, "lost: {}", lost.reason),
            None => f.write_str("lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_statuses() {
        assert_eq!(Ended::from_raw(0), Ended::Code(0));
        assert_eq!(Ended::from_raw(7 << 8), Ended::Code(7));
        assert_eq!(
            Ended::from_raw(9),
            Ended::Signal {
                signal: 9,
                core: false
            }
        );
        assert_eq!(
            Ended::from_raw(6 | 0x80),
            Ended::Signal {
                signal: 6,
                core: true
            }
        );
    }

    #[test]
    fn exit_codes_follow_python() {
        let exit = |how| Exit {
            how: Some(how),
            ..Exit::default()
        };
        assert_eq!(exit(Ended::from_raw(3 << 8).into()).exitcode(), 3);
        assert_eq!(exit(Ended::from_raw(15).into()).exitcode(), -15);
        assert_eq!(Exit::default().exitcode(), LOST);
    }
}
