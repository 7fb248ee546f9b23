//! How arguments get to a worker's function and its result back.

use crate::error::Error;
use crate::parcel;
use crate::standard;
use mpfork_sys::entry::{Record, offset_of};
use mpfork_zygote::payload::{self, MAX_INLINE_BYTES, Parcel, PayloadError, Reader, Step};
use serde::Serialize;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::api::{Function, Task};

/// The function of a record, by its place in the program.
pub(crate) fn function_of(record: &'static Record) -> Result<Function, Error> {
    let offset = offset_of(record).ok_or(Error::ForeignFunction)?;
    Ok(Function::Offset(offset))
}

/// The task of calling a function, and the caller's end of its channel when it has one: always when a
/// result is wanted, otherwise only for arguments too large for the request, or with descriptors.
pub(crate) fn task(
    function: Function,
    arguments: &(impl Serialize + ?Sized),
    result: bool,
) -> Result<(Task, Option<UnixStream>), Error> {
    let parcel = parcel::pack(arguments).map_err(|error| Error::Encode(error.to_string()))?;
    let (argument, descriptors) = (parcel.bytes, parcel.descriptors);
    let inline = argument.len() <= MAX_INLINE_BYTES && descriptors.is_empty();
    if inline && !result {
        let task = Task::Function {
            function,
            argument,
            channel: None,
        };
        return Ok((task, None));
    }
    let failed = |error| Error::system("making a channel for a worker", error);
    let _held = standard::hold();
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let argument = if inline {
        argument
    } else {
        // What is large goes in a memory file, so this does not wait for the worker.
        let sent = payload::write_with(ours.as_fd(), &argument, &descriptors);
        sent.map_err(|error| Error::system("passing arguments to a worker", error))?;
        Vec::new()
    };
    let task = Task::Function {
        function,
        argument,
        channel: Some(Arc::new(OwnedFd::from(theirs))),
    };
    Ok((task, Some(ours)))
}

/// The result of a worker that has ended, if it left one.
pub(crate) fn result(channel: &UnixStream) -> Result<Option<Parcel>, Error> {
    // A process that the worker left behind may still hold the other end.
    channel
        .set_nonblocking(true)
        .map_err(|error| Error::system("reading a worker's result", error))?;
    let mut reader = Reader::default();
    loop {
        match reader.step(channel.as_fd()) {
            Ok(Step::Partial) => {}
            Ok(Step::Payload(parcel)) => return Ok(Some(parcel)),
            Ok(Step::End) | Err(PayloadError::Cut) => return Ok(None),
            Err(PayloadError::Io(error)) => match error.kind() {
                ErrorKind::Interrupted => {}
                // It was killed before it had sent all, or before it had read its argument.
                ErrorKind::WouldBlock | ErrorKind::ConnectionReset => return Ok(None),
                _ => return Err(Error::system("reading a worker's result", error)),
            },
            Err(error) => return Err(Error::Decode(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> Function {
        Function::Name("f".to_owned())
    }

    #[test]
    fn small_arguments_travel_in_the_request() {
        let (task, ours) = task(function(), &"small", false).unwrap();
        assert!(ours.is_none());
        let Task::Function {
            argument, channel, ..
        } = task
        else {
            panic!("{task:?}");
        };
        assert_eq!(crate::codec::decode::<String>(&argument).unwrap(), "small");
        assert!(channel.is_none());
    }

    #[test]
    fn large_arguments_wait_in_the_channel() {
        let large = "x".repeat(10 << 20);
        let (task, ours) = task(function(), &large, true).unwrap();
        let Task::Function {
            argument,
            channel: Some(theirs),
            ..
        } = task
        else {
            panic!("{task:?}");
        };
        assert!(argument.is_empty());
        let read = payload::read(theirs.as_fd()).unwrap().unwrap();
        assert_eq!(parcel::unpack::<String>(read).unwrap(), large);
        drop(theirs);
        assert!(result(&ours.unwrap()).unwrap().is_none());
    }

    #[test]
    fn a_result_is_read_even_when_the_channel_stays_open() {
        let (task, ours) = task(function(), &(), true).unwrap();
        let Task::Function {
            channel: Some(theirs),
            ..
        } = task
        else {
            panic!("{task:?}");
        };
        let ours = ours.unwrap();
        assert!(result(&ours).unwrap().is_none());
        payload::write(theirs.as_fd(), b"result").unwrap();
        assert_eq!(result(&ours).unwrap().unwrap().bytes, b"result");
    }
}
