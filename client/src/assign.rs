//! A start as a worker takes it from its own socket, where no daemon is between.

use crate::api::{Task, WorkerRequest};
use crate::error::Error;
use crate::state::Purpose;
use mpfork_driver::control::{AssignError, Control, while_congested};
use mpfork_driver::failed;
use mpfork_driver::start::Start;
use mpfork_proto::link::Inherited;
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, Descriptor, StartWay, WorkerId, task};
use mpfork_sys::fdpass::{CONGESTION_LIMIT, is_congested};
use std::os::fd::OwnedFd;

/// A start that was checked, with its descriptors in the order in which they are numbered.
#[derive(Debug)]
pub(crate) struct Assignable {
    pub(crate) start: Start,
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) command: bool,
}

impl Assignable {
    /// Checks a request as mpforkd would, and opens what it needs.
    pub(crate) fn new(request: &WorkerRequest) -> Result<Self, Error> {
        if request.state.keeps_output() {
            return Err(Error::Unsupported {
                what: "keeping a worker's output".to_owned(),
                why: "only mpforkd keeps it; use a pipe or a file",
            });
        }
        let (mut spec, purposes, descriptors) = request.prepare()?.into_parts();
        spec.parent = request.parent.clone().map(|parent| v1::Parent {
            pid: std::process::id().cast_signed(),
            ..parent
        });
        let mut opened: Vec<_> = purposes.into_iter().zip(descriptors).collect();
        // The channel, the directory, those with target numbers.
        opened.sort_by_key(|(purpose, _)| match purpose {
            Purpose::Channel => 0,
            Purpose::Cwd => 1,
            Purpose::Placed(_) => 2,
        });
        let state = spec.state.get_or_insert_default();
        for (number, (purpose, _)) in (0..).zip(&opened) {
            let descriptor = Some(Descriptor {
                connection: 0,
                number,
            });
            match purpose {
                Purpose::Cwd => state.cwd = descriptor,
                Purpose::Placed(target) => state.descriptors.push(v1::PlacedDescriptor {
                    descriptor,
                    target: *target,
                }),
                Purpose::Channel => {
                    let task = spec.task.as_mut().and_then(|task| task.task.as_mut());
                    if let Some(task::Task::Function(function)) = task {
                        function.channel = descriptor;
                    }
                }
            }
        }
        let descriptors: Vec<OwnedFd> = opened.into_iter().map(|(_, opened)| opened).collect();
        Ok(Self {
            start: Start::check(spec, &descriptors)?,
            descriptors,
            command: matches!(request.task, Task::Command { .. }),
        })
    }

    /// Puts the assignment into the worker's own socket, as far as that takes it. While the user has too many
    /// descriptors in flight it waits.
    pub(crate) async fn assign(
        &self,
        control: &mut Control,
        id: WorkerId,
        way: StartWay,
        inherited: Option<&Inherited>,
    ) -> Result<(), Error> {
        let count = self.descriptors.len();
        let assignment = self.start.assignment(id, way, count, inherited);
        while_congested(CONGESTION_LIMIT, || {
            control.assign(&assignment, &self.descriptors)
        })
        .await
        .map_err(|error| match error {
            AssignError::Io(error) if is_congested(&error) => {
                failed::too_many_in_flight(&error).into()
            }
            AssignError::Io(error) => Error::system("sending a worker its assignment", error),
            AssignError::Frame(error) => Problem::bad_request("spec", error).into(),
        })
    }

    /// The registered function it asks for.
    pub(crate) fn function_name(&self) -> Option<&str> {
        use mpfork_proto::link::assigned_task::{Task, function::Target};
        match &self.start.task.task {
            Some(Task::Function(function)) => match &function.target {
                Some(Target::Name(name)) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
