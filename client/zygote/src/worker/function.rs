//! Functions: the worker runs one and sends its result.

use super::{exit, report};
use crate::fault::{BoxError, Fault, attempt, caused_by};
use crate::{passed, payload};
use mpfork_proto::v1::failure::Kind;
use mpfork_sys::entry::{Entry, Failed, FailedKind, Returned};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

pub(super) struct Function {
    pub(super) entry: Entry,
    /// Empty when it comes over the channel.
    pub(super) argument: Vec<u8>,
}

impl Function {
    /// Runs the function and ends the worker.
    pub(super) fn run(self, channel: Option<OwnedFd>) -> ! {
        let code = match self.call(channel.as_ref()) {
            Ok(code) => code,
            Err((fault, kind)) => {
                // A panic has been printed already.
                if !fault.panicked() {
                    print(&fault);
                }
                report::failure(&fault, kind);
                1
            }
        };
        // The caller may read to its end.
        drop(channel);
        exit::end(code)
    }

    fn call(self, channel: Option<&OwnedFd>) -> Result<i32, (Fault, Kind)> {
        let argument = match channel {
            Some(channel) if self.argument.is_empty() => {
                let parcel = payload::read(channel.as_fd())
                    .map_err(|error| (Fault::from_error(&error), Kind::Argument))?
                    .ok_or_else(|| {
                        let message = "the channel ended before the argument came";
                        let fault = Fault::of_error(message.to_owned(), Vec::new());
                        (fault, Kind::Argument)
                    })?;
                passed::arrive(parcel.descriptors);
                parcel.bytes
            }
            _ => self.argument,
        };
        let entry = self.entry;
        let returned = attempt(|| Ok::<_, BoxError>(entry(&argument)))
            .map_err(|fault| (fault, Kind::Panic))?;
        match returned {
            Returned::Value(value) => {
                send(channel, &value).map_err(|error| (error, Kind::Result))?;
                Ok(0)
            }
            Returned::Code(code) => Ok(code.into()),
            Returned::Failed(Failed {
                kind,
                message,
                chain,
                value,
            }) => {
                if let Some(value) = value {
                    // The failure itself is told in any case.
                    let _ = send(channel, &value);
                }
                Err((Fault::of_error(message, chain), kind_of(kind)))
            }
        }
    }
}

fn kind_of(kind: FailedKind) -> Kind {
    match kind {
        FailedKind::Error => Kind::Error,
        FailedKind::Argument => Kind::Argument,
        FailedKind::Result => Kind::Result,
    }
}

fn send(channel: Option<&OwnedFd>, value: &[u8]) -> Result<(), Fault> {
    let Some(channel) = channel else {
        return Ok(());
    };
    match payload::write_with(channel.as_fd(), value, &passed::leaving()) {
        // The caller has closed its end: it does not want the result, which is no failure.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(Fault::from_error(&error)),
        Ok(()) => Ok(()),
    }
}

fn print(fault: &Fault) {
    let mut text = format!("Error: {}\n", fault.message());
    if !fault.chain().is_empty() {
        text.push_str(&format!("\n{}\n", caused_by(fault.chain())));
    }
    // Nobody may be reading.
    let _ = io::stderr().write_all(text.as_bytes());
}
