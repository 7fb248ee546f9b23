//! What a worker is asked to run, checked once at the edge: from the wire to what it is assigned.

use crate::check::no_nul;
use mpfork_proto::link::{AssignedTask, assigned_task};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{Task, task};

/// The longest name of a function or of a worker, in bytes.
pub const MAX_NAME: usize = 256;
/// The longest argument that Linux lets a program be executed with (`MAX_ARG_STRLEN`), in bytes.
pub const MAX_ARG0: usize = 128 * 1024;

/// A task that may be run.
#[derive(Debug)]
pub struct Checked {
    /// Its descriptors are named by their numbers in the assignment.
    pub task: AssignedTask,
    /// What people call it.
    pub description: String,
    /// Whether the result is to come over Attach.
    pub result: bool,
}

/// Checks a task. Its descriptors are numbered from `index` on.
///
/// # Errors
/// The field that is wrong.
pub fn check(task: Option<Task>, index: &mut u32) -> Result<Checked, Problem> {
    let mut result = false;
    let task = task
        .and_then(|task| task.task)
        .ok_or_else(|| Problem::bad_request("spec.task", "none is given"))?;
    let (task, description) = match task {
        task::Task::Command(command) => {
            if command.program.is_empty() {
                return Err(Problem::bad_request("spec.task.command.program", "empty"));
            }
            no_nul("spec.task.command.program", [&command.program])?;
            no_nul("spec.task.command.args", &command.args)?;
            no_nul("spec.task.command.arg0", &command.arg0)?;
            let words = std::iter::once(&command.program).chain(&command.args);
            let description = words_for_people(words);
            (assigned_task::Task::Command(command), description)
        }
        task::Task::Function(function) => {
            let target = function.target.ok_or_else(|| {
                Problem::bad_request("spec.task.function.target", "none is given")
            })?;
            let (target, description) = match target {
                task::function::Target::Name(name) => {
                    if name.is_empty() || name.len() > MAX_NAME {
                        return Err(Problem::bad_request(
                            "spec.task.function.name",
                            format!("expected 1 to {MAX_NAME} bytes"),
                        ));
                    }
                    let description = format!("{name}()");
                    (assigned_task::function::Target::Name(name), description)
                }
                task::function::Target::Offset(offset) => (
                    assigned_task::function::Target::Offset(offset),
                    format!("function at {offset:#x}"),
                ),
            };
            if function.result && function.channel.is_some() {
                return Err(Problem::bad_request(
                    "spec.task.function.result",
                    "it goes to the channel that is given",
                ));
            }
            if function.result && function.argument.is_empty() {
                return Err(Problem::bad_request(
                    "spec.task.function.argument",
                    "without a channel there must be one; none at all is written as nil",
                ));
            }
            result = function.result;
            let function = assigned_task::Function {
                target: Some(target),
                argument: function.argument,
                channel: function.channel.map(|_| crate::check::take(index)),
            };
            (assigned_task::Task::Function(function), description)
        }
        task::Task::Main(main) => {
            no_nul("spec.task.main.args", &main.args)?;
            no_nul("spec.task.main.arg0", &main.arg0)?;
            if main.arg0.as_ref().is_some_and(|name| name.len() > MAX_ARG0) {
                return Err(Problem::bad_request(
                    "spec.task.main.arg0",
                    format!("longer than {MAX_ARG0} bytes"),
                ));
            }
            let description = format!("main {}", words_for_people(&main.args));
            (assigned_task::Task::Main(main), description)
        }
    };
    Ok(Checked {
        task: AssignedTask { task: Some(task) },
        description,
        result,
    })
}

fn words_for_people<'a>(words: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    const LONGEST: usize = 120;
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(String::from_utf8_lossy(word).escape_debug());
        if text.chars().count() > LONGEST {
            return text.chars().take(LONGEST).chain(['…']).collect();
        }
    }
    text
}
