//! How mpctl ends.

use mpfork::Exit;
use mpfork_proto::v1::exit::How;
use mpfork_sys::limits;
use nix::sys::signal::{SigSet, Signal};
use std::process::ExitCode;

/// How mpctl ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With an exit status.
    Code(u8),
    /// By the signal that ended the worker.
    Signal(i32),
}

/// The exit status when the worker was ended because of its time limit: as timeout(1).
const TIMED_OUT: u8 = 124;

impl Ending {
    /// As the worker did.
    pub(crate) fn of(exit: &Exit) -> Self {
        match &exit.as_proto().how {
            Some(How::Code(code)) => Self::Code(u8::try_from(*code).unwrap_or(u8::MAX)),
            Some(How::Signaled(signaled)) => Self::Signal(signaled.signal),
            Some(How::TimedOut(_)) => Self::Code(TIMED_OUT),
            Some(How::Lost(_)) | None => Self::Code(mpfork::Reason::WorkerLost.row().exit_code),
        }
    }

    /// As an exit status: 128 and the number for a signal, as shells have it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => u8::try_from(128_i32.saturating_add(signal)).unwrap_or(u8::MAX),
        }
    }

    /// Ends by the worker's signal, or else with its exit status.
    pub(crate) fn end(self) -> ExitCode {
        if let Self::Signal(number) = self
            && let Ok(signal) = Signal::try_from(number)
        {
            die_by(signal);
        }
        ExitCode::from(self.code())
    }
}

/// Ends this process by a signal. Returns where the signal does not: the first process of a
/// container survives its own signals.
pub(crate) fn die_by(signal: Signal) {
    // The worker dumped its core; this process's is of no interest.
    let core = rustix::process::Resource::Core as u32;
    if let Ok(limit) = limits::get(core) {
        let _ = limits::set(0, limits::Rlimit { soft: 0, ..limit });
    }
    let mut only = SigSet::empty();
    only.add(signal);
    let _ = only.thread_unblock();
    // Refused for KILL, whose action is the default one anyway.
    let _ = mpfork_sys::signals::set_default(signal);
    let _ = nix::sys::signal::raise(signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_as_exit_statuses() {
        assert_eq!(Ending::Code(7).code(), 7);
        assert_eq!(Ending::Signal(15).code(), 143);
        assert_eq!(Ending::Signal(i32::MAX).code(), 255);
    }
}
