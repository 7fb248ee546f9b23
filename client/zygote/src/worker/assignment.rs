//! What a worker is told to do, checked.

use super::StartError;
use super::command::Command;
use super::current::{self, Current};
use super::function::Function;
use crate::registry::function;
use crate::serve::Tasks;
use crate::wire::Inbox;
use mpfork_proto::link::{self, AssignedState, assigned_task};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::os::fd::{AsFd as _, OwnedFd};

/// What the worker runs.
pub(super) enum Task {
    Command(Command),
    Function(Function),
    Main,
}

/// An assignment whose parts fit together.
pub(super) struct Assignment {
    pub(super) task: Task,
    pub(super) state: AssignedState,
    /// Which descriptor is the function's channel.
    pub(super) channel: Option<usize>,
    pub(super) descriptors: Vec<OwnedFd>,
    /// What can't be done of it, but need not be.
    pub(super) not_applied: Vec<String>,
}

/// Whether it has come, or never will.
pub(super) fn is_there(control: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(control, PollFlags::IN)];
    let polls = rustix::event::poll(&mut polled, Some(&Timespec::default()));
    polls.is_ok_and(|ready| ready > 0)
}

/// Waits for the assignment; `None` when there will be none.
pub(super) fn receive(control: &OwnedFd, tasks: Tasks) -> Result<Option<Assignment>, StartError> {
    let bad = |error: crate::wire::WireError| StartError::bad("assignment", error.to_string());
    let mut inbox = Inbox::default();
    let Some(frame) = inbox
        .receive::<link::Assignment>(control.as_fd())
        .map_err(bad)?
    else {
        return Ok(None);
    };
    if !inbox.is_empty() {
        // Revoked before it was read.
        return Ok(None);
    }
    let descriptors = Vec::from(inbox.claim(frame.descriptors).map_err(bad)?);
    let way = frame.way();
    current::set(Current {
        id: frame.id.unwrap_or_default(),
        name: frame.name,
        way,
        parent: frame.parent,
    });
    let missing = || StartError::bad("assignment", "it names no task");
    let task = frame.task.and_then(|task| task.task).ok_or_else(missing)?;
    let mut channel = None;
    let mut not_applied = Vec::new();
    let task = match task {
        assigned_task::Task::Command(command) => Task::Command(Command::new(command)),
        _ if tasks == Tasks::Commands => {
            return Err(StartError::bad(
                "task",
                "this template runs commands only: it has no functions and no main of its own",
            ));
        }
        assigned_task::Task::Function(function) => {
            channel = function
                .channel
                .map(|index| checked(index, &descriptors))
                .transpose()?;
            Task::Function(find(function)?)
        }
        assigned_task::Task::Main(main) => {
            not_applied.extend(current::set_args(main.arg0, main.args));
            Task::Main
        }
    };
    let state = frame.state.unwrap_or_default();
    for index in state
        .cwd
        .iter()
        .chain(state.placed.iter().map(|p| &p.index))
    {
        checked(*index, &descriptors)?;
    }
    Ok(Some(Assignment {
        task,
        state,
        channel,
        descriptors,
        not_applied,
    }))
}

fn checked(index: u32, descriptors: &[OwnedFd]) -> Result<usize, StartError> {
    let count = descriptors.len();
    let index = index as usize;
    if index < count {
        Ok(index)
    } else {
        let message = format!("it names descriptor {index} of {count}");
        Err(StartError::bad("assignment", message))
    }
}

fn find(function: assigned_task::Function) -> Result<Function, StartError> {
    use assigned_task::function::Target;
    let entry = match function.target {
        Some(Target::Name(name)) => function::find(&name),
        Some(Target::Offset(offset)) => mpfork_sys::entry::entry_at(offset)
            .ok_or_else(|| format!("there is no function at offset {offset:#x} of this program")),
        None => Err("the function has neither name nor offset".to_owned()),
    };
    Ok(Function {
        entry: entry.map_err(|message| StartError::bad("function", message))?,
        argument: function.argument,
    })
}
