//! A start as it is asked for, checked once at the edge: from the wire to what a worker gets.

use crate::duration::from_wire;
use crate::state;
use crate::task::{self, MAX_NAME};
use mpfork_proto::link::{AssignedState, AssignedTask, Assignment, Inherited};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{self, Descriptor, OnOwnerDeath, Parent, StartWay, WorkerId, WorkerSpec};
use std::os::fd::OwnedFd;
use std::time::Duration;

const MAX_METHOD: usize = 32;

/// A start that may go on.
#[derive(Debug)]
pub struct Start {
    /// The worker's name.
    pub name: String,
    /// What it runs.
    pub task: AssignedTask,
    /// The state it starts with.
    pub state: AssignedState,
    /// What people call the task.
    pub description: String,
    /// Whether the result is to come over Attach.
    pub result: bool,
    /// Whether it lives on when its owner ends.
    pub keep: bool,
    /// Its wall-clock limit.
    pub time_limit: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Option<Duration>,
    /// Who asks for it; the pid may not be known here.
    pub parent: Option<Parent>,
}

impl Start {
    /// Checks what is asked for. The descriptors are those of [`references`].
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn check(spec: WorkerSpec, descriptors: &[OwnedFd]) -> Result<Self, Problem> {
        if spec.name.len() > MAX_NAME {
            return Err(Problem::bad_request(
                "spec.name",
                format!("longer than {MAX_NAME} bytes"),
            ));
        }
        check_parent(spec.parent.as_ref())?;
        let keep = match OnOwnerDeath::try_from(spec.on_owner_death) {
            Ok(OnOwnerDeath::Keep) => true,
            Ok(OnOwnerDeath::End | OnOwnerDeath::Unspecified) => false,
            Err(_) => return Err(Problem::bad_request("spec.on_owner_death", "unknown value")),
        };
        let time_limit = duration("spec.time_limit", spec.time_limit)?;
        if time_limit.is_some_and(|limit| limit.is_zero()) {
            return Err(Problem::bad_request("spec.time_limit", "must not be zero"));
        }
        let mut index = 0;
        let task = task::check(spec.task, &mut index)?;
        let state = state::check(spec.state.unwrap_or_default(), &mut index, descriptors)?;
        Ok(Self {
            name: spec.name,
            task: task.task,
            state,
            description: task.description,
            result: task.result,
            keep,
            time_limit,
            grace: duration("spec.grace", spec.grace)?,
            parent: spec.parent,
        })
    }

    /// The frame that a worker takes from its own socket, with so many descriptors. What its zygote has
    /// told that it inherits is left out.
    #[must_use]
    pub fn assignment(
        &self,
        id: WorkerId,
        way: StartWay,
        descriptors: usize,
        inherited: Option<&Inherited>,
    ) -> Assignment {
        let state = match inherited {
            // One that is executed does not inherit it from that process.
            Some(inherited) if way != StartWay::Spawn => state::beyond(&self.state, inherited),
            _ => self.state.clone(),
        };
        Assignment {
            // At most 252.
            descriptors: u32::try_from(descriptors).unwrap_or(u32::MAX),
            worker: id.counter,
            task: Some(self.task.clone()),
            state: Some(state),
            name: self.name.clone(),
            id: Some(id),
            way: way.into(),
            parent: self.parent.clone(),
        }
    }
}

/// It is passed on to the worker as it is.
fn check_parent(parent: Option<&Parent>) -> Result<(), Problem> {
    let Some(parent) = parent else {
        return Ok(());
    };
    let texts = [
        ("spec.parent.name", &parent.name, MAX_NAME),
        ("spec.parent.start_method", &parent.start_method, MAX_METHOD),
    ];
    for (field, text, most) in texts {
        if text.len() > most {
            return Err(Problem::bad_request(
                field,
                format!("longer than {most} bytes"),
            ));
        }
    }
    Ok(())
}

fn duration(
    field: &str,
    value: Option<prost_types::Duration>,
) -> Result<Option<Duration>, Problem> {
    value.map(|value| from_wire(field, value)).transpose()
}

/// All descriptors a request names, in the order in which the assignment numbers them: the channel,
/// the directory, those with target numbers.
#[must_use]
pub fn references(spec: &WorkerSpec) -> Vec<Descriptor> {
    let channel = match spec.task.as_ref().and_then(|task| task.task.as_ref()) {
        Some(v1::task::Task::Function(function)) => function.channel,
        _ => None,
    };
    let state = spec.state.as_ref();
    let cwd = state.and_then(|state| state.cwd);
    let placed = state.map_or(&[][..], |state| &state.descriptors);
    let placed = placed.iter().filter_map(|placed| placed.descriptor);
    channel.into_iter().chain(cwd).chain(placed).collect()
}
