//! Requests.

use mpfork_proto::BUILTIN_TEMPLATE;
use mpfork_proto::v1::{
    Descriptor, EnvDirective, PlacedDescriptor, StartState, Stdio, Stream, Task, WorkerSpec,
    env_directive, task,
};
use prost_types::Duration as WireDuration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A request id that no other request of this process has.
#[must_use]
pub fn request_id() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id()).into_bytes()
}

/// A worker of a template that runs a task, with its zygote's environment.
#[must_use]
pub fn worker(template: &str, task: task::Task) -> WorkerSpec {
    WorkerSpec {
        request_id: request_id(),
        template: template.to_owned(),
        task: Some(Task { task: Some(task) }),
        state: Some(StartState::default()),
        ..WorkerSpec::default()
    }
}

/// A command: the program and its arguments; its environment has a PATH only.
#[must_use]
pub fn command(words: &[&str]) -> WorkerSpec {
    let (program, args) = words.split_first().unwrap_or((&"", &[]));
    let command = task::Command {
        program: (*program).into(),
        args: args.iter().map(|arg| (*arg).into()).collect(),
        arg0: None,
    };
    let mut spec = worker(BUILTIN_TEMPLATE, task::Task::Command(command));
    let path = env(&[("PATH", "/usr/local/bin:/usr/bin:/bin")]);
    spec.state.get_or_insert_default().env = path;
    spec
}

/// A shell script.
#[must_use]
pub fn shell(script: &str) -> WorkerSpec {
    command(&["/bin/sh", "-c", script])
}

/// A registered function of a template's program, with an argument.
///
/// # Panics
/// When the argument can't be encoded.
#[must_use]
pub fn function(template: &str, name: &str, argument: impl serde::Serialize) -> WorkerSpec {
    let function = task::Function {
        target: Some(task::function::Target::Name(name.to_owned())),
        argument: rmp_serde::to_vec_named(&argument).unwrap(),
        channel: None,
        result: false,
    };
    worker(template, task::Task::Function(function))
}

/// The program's own `main`, with arguments.
#[must_use]
pub fn main(template: &str, args: &[&str]) -> WorkerSpec {
    let args = args.iter().map(|arg| (*arg).into()).collect();
    worker(template, task::Task::Main(task::Main { args, arg0: None }))
}

/// An environment of these variables only.
#[must_use]
pub fn env(variables: &[(&str, &str)]) -> Vec<EnvDirective> {
    let clear = env_directive::Step::Clear(env_directive::Clear {});
    let set = variables.iter().map(|(name, value)| set(name, value));
    std::iter::once(EnvDirective { step: Some(clear) })
        .chain(set)
        .collect()
}

/// Sets a variable.
#[must_use]
pub fn set(name: &str, value: &str) -> EnvDirective {
    let set = env_directive::Set {
        name: name.into(),
        value: value.into(),
    };
    EnvDirective {
        step: Some(env_directive::Step::Set(set)),
    }
}

/// The same with the null device for all standard streams: mpforkd opens nothing for it.
#[must_use]
pub fn without_streams(mut spec: WorkerSpec) -> WorkerSpec {
    let mut stdio = Stdio::default();
    stdio.set_stdout(Stream::Null);
    stdio.set_stderr(Stream::Null);
    spec.state.get_or_insert_default().stdio = Some(stdio);
    spec
}

/// Gives the worker a descriptor under a number.
pub fn place(spec: &mut WorkerSpec, descriptor: Descriptor, target: u32) {
    let state = spec.state.get_or_insert_default();
    state.descriptors.push(PlacedDescriptor {
        descriptor: Some(descriptor),
        target,
    });
}

/// For the wire.
#[must_use]
pub fn duration(duration: Duration) -> Option<WireDuration> {
    WireDuration::try_from(duration).ok()
}

/// For the wire.
#[must_use]
pub fn millis(count: u64) -> Option<WireDuration> {
    duration(Duration::from_millis(count))
}
