//! A start as it is asked for, and how it becomes a message with descriptors.

use crate::error::Error;
use crate::method::StartMethod;
use crate::state::{Purpose, StartState};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::task;
use mpfork_proto::{MAX_MESSAGE_BYTES, v1};
use mpfork_transport::Queued;
use mpfork_zygote::payload::{Reader, Step};
use prost::Message as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::time::Duration;

pub use mpfork_proto::v1::OnOwnerDeath;

/// All a start asks for. The same request may be sent again: it has an id by which the daemon
/// recognises it, and gives the same worker.
#[derive(Debug, Clone)]
pub struct WorkerRequest {
    /// Chosen at random; 1 to 64 bytes.
    pub request_id: Vec<u8>,
    /// A configured template's name, or a registered one's digest.
    pub template: String,
    /// What the worker runs.
    pub task: Task,
    /// The state it starts with.
    pub state: StartState,
    /// Shown in lists. Up to 256 bytes.
    pub name: String,
    /// What happens to it when the connection ends.
    pub on_owner_death: OnOwnerDeath,
    /// Wall-clock limit: at its end TERM, after `grace` KILL.
    pub time_limit: Option<Duration>,
    /// Between TERM and KILL; the daemon's default when absent.
    pub grace: Option<Duration>,
    /// Who starts it, for its `parent_process()`; its pid mpforkd knows.
    pub parent: Option<v1::Parent>,
}

/// What a worker runs.
#[derive(Debug, Clone)]
pub enum Task {
    /// A program executed in the worker. For mpforkd's built-in template,
    /// [`BUILTIN_TEMPLATE`](mpfork_proto::BUILTIN_TEMPLATE).
    Command {
        /// Searched in the worker's PATH when it has no slash.
        program: OsString,
        /// The arguments after the program's name.
        args: Vec<OsString>,
        /// The program's name as it sees it, when that is not `program`.
        arg0: Option<OsString>,
    },
    /// A function of the template's program.
    Function {
        /// Which.
        function: Function,
        /// Its argument in MessagePack, unless it comes over the channel.
        argument: Vec<u8>,
        /// The worker's end of a stream socket, for the argument and the result.
        channel: Option<Arc<OwnedFd>>,
    },
    /// The program's own `main`: `freeze_support()` returns in the worker.
    Main {
        /// The arguments after the program's name.
        args: Vec<OsString>,
        /// The program's name; the path its zygote was executed with when absent.
        arg0: Option<OsString>,
    },
}

/// How a function is named.
#[derive(Debug, Clone)]
pub enum Function {
    /// As the program registered it.
    Name(String),
    /// By its record's offset in the program's main image.
    Offset(u64),
}

impl WorkerRequest {
    /// A request with a new id, the calling process's state, and nothing else set.
    #[must_use]
    pub fn new(template: impl Into<String>, task: Task) -> Self {
        let state = match &task {
            Task::Command { .. } | Task::Main { .. } => StartState::capture_for_command(),
            Task::Function { .. } => StartState::capture(),
        };
        Self {
            request_id: crate::random::id(),
            template: template.into(),
            task,
            state,
            name: String::new(),
            on_owner_death: OnOwnerDeath::End,
            time_limit: None,
            grace: None,
            parent: Some(crate::parent::own(false, StartMethod::ForkServer)),
        }
    }

    /// The most descriptors it takes.
    pub(crate) fn descriptor_count(&self) -> usize {
        let channel = matches!(
            &self.task,
            Task::Function {
                channel: Some(_),
                ..
            }
        );
        self.state.descriptor_count() + usize::from(channel)
    }

    /// The message and its descriptors, opened but not yet queued.
    pub(crate) fn prepare(&self) -> Result<Prepared, Error> {
        let mut opened = self.state.open()?;
        if let Task::Function {
            channel: Some(channel),
            ..
        } = &self.task
        {
            let copy = channel.try_clone();
            let copy = copy.map_err(|error| Error::system("copying a channel", error))?;
            opened.push((Purpose::Channel, copy));
        }
        Prepared::new(self.spec(self.state.to_proto())?, opened)
    }

    /// Has an argument that lies in the channel travel in the message.
    pub(crate) fn inline_argument(&mut self) -> Result<(), Error> {
        let Task::Function {
            argument,
            channel: Some(channel),
            ..
        } = &mut self.task
        else {
            return Ok(());
        };
        if argument.is_empty() {
            *argument = waiting_argument(channel.as_fd())?;
        }
        Ok(())
    }

    /// The message where descriptors do not pass: the result comes over the call, streams are attached
    /// that are not to be anything else.
    pub(crate) fn without_descriptors(&self) -> Result<v1::WorkerSpec, Error> {
        let mut spec = self.spec(self.state.without_descriptors()?)?;
        if let Task::Function {
            channel: Some(_), ..
        } = &self.task
            && let Some(task::Task::Function(function)) =
                spec.task.as_mut().and_then(|task| task.task.as_mut())
        {
            function.result = true;
        }
        Ok(Prepared::new(spec, Vec::new())?.spec)
    }

    fn spec(&self, state: v1::StartState) -> Result<v1::WorkerSpec, Error> {
        let task = match &self.task {
            Task::Command {
                program,
                args,
                arg0,
            } => task::Task::Command(task::Command {
                program: program.clone().into_vec(),
                args: bytes(args),
                arg0: arg0.clone().map(OsString::into_vec),
            }),
            Task::Function {
                function,
                argument,
                channel: _,
            } => task::Task::Function(task::Function {
                argument: argument.clone(),
                channel: None,
                result: false,
                target: Some(match function {
                    Function::Name(name) => task::function::Target::Name(name.clone()),
                    Function::Offset(offset) => task::function::Target::Offset(*offset),
                }),
            }),
            Task::Main { args, arg0 } => task::Task::Main(task::Main {
                args: bytes(args),
                arg0: arg0.clone().map(OsString::into_vec),
            }),
        };
        Ok(v1::WorkerSpec {
            request_id: self.request_id.clone(),
            template: self.template.clone(),
            task: Some(v1::Task { task: Some(task) }),
            state: Some(state),
            name: self.name.clone(),
            on_owner_death: self.on_owner_death.into(),
            time_limit: proto_duration("time_limit", self.time_limit)?,
            grace: proto_duration("grace", self.grace)?,
            parent: self.parent.clone(),
        })
    }
}

/// The argument that its caller has put into a channel. It is all there, or an earlier try has taken it:
/// this does not wait.
fn waiting_argument(channel: BorrowedFd<'_>) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::system("reading a function's argument", error);
    let mut reader = Reader::default();
    loop {
        let mut waited = [PollFd::new(&channel, PollFlags::IN)];
        let ready = retry_on_intr(|| poll(&mut waited, Some(&Timespec::default())));
        if ready.map_err(|error| failed(error.into()))? == 0 {
            return Err(taken());
        }
        match reader.step(channel) {
            Ok(Step::Payload(parcel)) if parcel.descriptors.is_empty() => return Ok(parcel.bytes),
            Ok(Step::Payload(_)) => {
                return Err(Error::Unsupported {
                    what: "a descriptor among a function's arguments".to_owned(),
                    why: "none pass between this program and mpforkd",
                });
            }
            Ok(Step::Partial) => {}
            Ok(Step::End) => return Err(taken()),
            Err(error) => return Err(failed(io::Error::other(error))),
        }
    }
}

fn taken() -> Error {
    Error::Unsupported {
        what: "starting a function again".to_owned(),
        why: "an earlier try has taken its argument, which went by a descriptor, and none pass now",
    }
}

pub(crate) fn bytes(strings: &[OsString]) -> Vec<Vec<u8>> {
    let strings = strings.iter().cloned();
    strings.map(OsString::into_vec).collect()
}

pub(crate) fn proto_duration(
    field: &str,
    duration: Option<Duration>,
) -> Result<Option<prost_types::Duration>, Error> {
    duration
        .map(|duration| {
            prost_types::Duration::try_from(duration)
                .map_err(|_| Problem::bad_request(field, "too long").into())
        })
        .transpose()
}

/// A message that still lacks the references to its descriptors.
pub(crate) struct Prepared {
    spec: v1::WorkerSpec,
    purposes: Vec<Purpose>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// What a reference takes in the message, at most.
const REFERENCE_BYTES: usize = 40;

impl Prepared {
    /// A message too large must be noticed before its descriptors are on their way.
    fn new(spec: v1::WorkerSpec, opened: Vec<(Purpose, OwnedFd)>) -> Result<Self, Error> {
        let length = spec.encoded_len() + (opened.len() + 1) * REFERENCE_BYTES;
        if length > MAX_MESSAGE_BYTES {
            return Err(Problem::limit(
                "message bytes",
                format!("{length} of at most {MAX_MESSAGE_BYTES}: arguments and environment"),
            )
            .into());
        }
        let (purposes, descriptors) = opened.into_iter().unzip();
        Ok(Self {
            spec,
            purposes,
            descriptors,
        })
    }

    /// The message, once its descriptors are queued.
    pub(crate) fn named(
        mut spec: v1::WorkerSpec,
        purposes: &[Purpose],
        queued: &Queued,
    ) -> v1::WorkerSpec {
        let state = spec.state.get_or_insert_default();
        for (purpose, reference) in purposes.iter().zip(&queued.descriptors) {
            match purpose {
                Purpose::Cwd => state.cwd = Some(*reference),
                Purpose::Placed(target) => state.descriptors.push(v1::PlacedDescriptor {
                    descriptor: Some(*reference),
                    target: *target,
                }),
                Purpose::Channel => {
                    let task = spec.task.as_mut().and_then(|task| task.task.as_mut());
                    if let Some(task::Task::Function(function)) = task {
                        function.channel = Some(*reference);
                    }
                }
            }
        }
        null_streams(spec.state.get_or_insert_default());
        spec
    }

    pub(crate) fn into_parts(self) -> (v1::WorkerSpec, Vec<Purpose>, Vec<OwnedFd>) {
        (self.spec, self.purposes, self.descriptors)
    }
}

/// What is neither given nor asked for is the null device, as it is to [`std::process::Command`]: left
/// open, mpforkd would keep it.
fn null_streams(state: &mut v1::StartState) {
    for number in 0..=2 {
        if state
            .descriptors
            .iter()
            .any(|placed| placed.target == number)
        {
            continue;
        }
        let stdio = state.stdio.get_or_insert_default();
        let stream = match number {
            0 => &mut stdio.stdin,
            1 => &mut stdio.stdout,
            _ => &mut stdio.stderr,
        };
        if *stream == i32::from(v1::Stream::Unspecified) {
            *stream = v1::Stream::Null.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call;

    #[test]
    fn an_argument_is_taken_from_its_channel_once() {
        let large = "x".repeat(1 << 20);
        let (task, ours) = call::task(Function::Name("f".to_owned()), &large, true).unwrap();
        let mut first = WorkerRequest::new("t", task);
        let mut second = first.clone();
        first.inline_argument().unwrap();
        first.inline_argument().unwrap();
        let Task::Function { argument, .. } = &first.task else {
            panic!("{:?}", first.task);
        };
        assert_eq!(crate::codec::decode::<String>(argument).unwrap(), large);
        // Not there any more, while the channel is open and when it has ended.
        for end in [None, ours] {
            drop(end);
            let error = second.inline_argument().unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        }
    }
}
