//! A start request, checked once at the edge: from the wire to what a worker gets.

use super::streams::Plan;
use crate::calls::Held;
use crate::convert::from_wire;
use crate::events::Asked;
use mpfork_proto::environment;
use mpfork_proto::link::{AssignedState, AssignedTask, assigned_state, assigned_task};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{
    self, Descriptor, EnvDirective, OnOwnerDeath, Parent, StartState, Task, WorkerSpec,
    env_directive, task,
};
use mpfork_sys::limits::{RESOURCES, Rlimit};
use mpfork_transport::Connection;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const MAX_REQUEST_ID: usize = 64;
const MAX_NAME: usize = 256;
const MAX_METHOD: usize = 32;
/// The longest argument that Linux lets a program be executed with (`MAX_ARG_STRLEN`).
const MAX_ARG0: usize = 128 * 1024;
/// The most descriptors one worker may be given; with its directory and channel they fit one message.
const MAX_DESCRIPTORS: usize = 250;
const MAX_TARGET: u32 = 1 << 20;
const MAX_CPU: u32 = 8192;
const MAX_SIGNAL: u32 = 64;

/// A start that may go on.
#[derive(Debug)]
pub(crate) struct StartRequest {
    pub(crate) request_id: Vec<u8>,
    /// Tells a repeated request from another one with the same id.
    pub(crate) fingerprint: u64,
    pub(crate) template: String,
    pub(crate) name: String,
    pub(crate) task: AssignedTask,
    pub(crate) state: AssignedState,
    /// In the order of the indices in `task` and `state`.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// What mpforkd adds to them before the worker starts.
    pub(crate) plan: Plan,
    pub(crate) keep: bool,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) grace: Option<Duration>,
    /// Who asks for it; the pid is not known here.
    pub(crate) parent: Option<Parent>,
    /// For people.
    pub(crate) description: String,
    /// Until when the template is waited for.
    pub(crate) deadline: Option<Instant>,
    /// Counts the request as held by its connection.
    pub(crate) held: Option<Held>,
}

impl StartRequest {
    /// Checks a request. Its descriptors are claimed before anything can fail, so that none stays
    /// behind on the connection. What it does not say of its standard streams is another thing when
    /// its client is `attaching` to them.
    pub(crate) fn parse(
        spec: WorkerSpec,
        connection: &Connection,
        attaching: bool,
    ) -> Result<Self, Problem> {
        let fingerprint = fingerprint(&spec);
        let references = references(&spec);
        let descriptors = connection.claim_all(&references)?;
        if spec.request_id.is_empty() || spec.request_id.len() > MAX_REQUEST_ID {
            return Err(Problem::bad_request(
                "spec.request_id",
                format!("expected 1 to {MAX_REQUEST_ID} bytes"),
            ));
        }
        if spec.name.len() > MAX_NAME {
            return Err(Problem::bad_request(
                "spec.name",
                format!("longer than {MAX_NAME} bytes"),
            ));
        }
        check_parent(spec.parent.as_ref())?;
        if spec.template.is_empty() {
            return Err(Problem::bad_request("spec.template", "none is named"));
        }
        let keep = match OnOwnerDeath::try_from(spec.on_owner_death) {
            Ok(OnOwnerDeath::Keep) => true,
            Ok(OnOwnerDeath::End | OnOwnerDeath::Unspecified) => false,
            Err(_) => return Err(Problem::bad_request("spec.on_owner_death", "unknown value")),
        };
        let duration = |field: &str, value: Option<prost_types::Duration>| {
            value.map(|value| from_wire(field, value)).transpose()
        };
        let time_limit = duration("spec.time_limit", spec.time_limit)?;
        if time_limit.is_some_and(|limit| limit.is_zero()) {
            return Err(Problem::bad_request("spec.time_limit", "must not be zero"));
        }
        let mut index = 0;
        let (task, description, result) = check_task(spec.task, &mut index)?;
        let state = spec.state.unwrap_or_default();
        let stdio = state.stdio;
        let state = check_state(state, &mut index, &descriptors)?;
        let plan = Plan::new(stdio, &state.placed, descriptors.len(), result, attaching)?;
        Ok(Self {
            request_id: spec.request_id,
            fingerprint,
            template: spec.template,
            name: spec.name,
            task,
            state,
            descriptors,
            plan,
            keep,
            time_limit,
            grace: duration("spec.grace", spec.grace)?,
            parent: spec.parent,
            description,
            deadline: None,
            held: None,
        })
    }

    /// What is told of it when it gives no worker.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            template: &self.template,
            name: &self.name,
            task: &self.description,
        }
    }

    /// The registered function it asks for.
    pub(crate) fn function_name(&self) -> Option<&str> {
        match &self.task.task {
            Some(assigned_task::Task::Function(function)) => match &function.target {
                Some(assigned_task::function::Target::Name(name)) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the worker executes a program.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.task.task, Some(assigned_task::Task::Command(_)))
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

/// All descriptors a request names, in the order in which the assignment numbers them: the channel,
/// the directory, those with target numbers.
fn references(spec: &WorkerSpec) -> Vec<Descriptor> {
    let channel = match spec.task.as_ref().and_then(|task| task.task.as_ref()) {
        Some(task::Task::Function(function)) => function.channel,
        _ => None,
    };
    let state = spec.state.as_ref();
    let cwd = state.and_then(|state| state.cwd);
    let placed = state.map_or(&[][..], |state| &state.descriptors);
    let placed = placed.iter().filter_map(|placed| placed.descriptor);
    channel.into_iter().chain(cwd).chain(placed).collect()
}

/// A hash of what is asked for, without the descriptors, which differ in every repetition.
fn fingerprint(spec: &WorkerSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.template.hash(&mut hasher);
    spec.name.hash(&mut hasher);
    spec.on_owner_death.hash(&mut hasher);
    for duration in [&spec.time_limit, &spec.grace] {
        duration.map(|d| (d.seconds, d.nanos)).hash(&mut hasher);
    }
    if let Some(stdio) = spec.state.as_ref().and_then(|state| state.stdio) {
        (stdio.stdin, stdio.stdout, stdio.stderr).hash(&mut hasher);
    }
    match spec.task.as_ref().and_then(|task| task.task.as_ref()) {
        Some(task::Task::Command(command)) => {
            (0, &command.program, &command.args, &command.arg0).hash(&mut hasher);
        }
        Some(task::Task::Function(function)) => {
            (1, &function.argument, function.result).hash(&mut hasher);
            match &function.target {
                Some(task::function::Target::Name(name)) => name.hash(&mut hasher),
                Some(task::function::Target::Offset(offset)) => offset.hash(&mut hasher),
                None => {}
            }
        }
        Some(task::Task::Main(main)) => (2, &main.args, &main.arg0).hash(&mut hasher),
        None => {}
    }
    hasher.finish()
}

fn take(index: &mut u32) -> u32 {
    let taken = *index;
    *index += 1;
    taken
}

/// The task, what people call it, and whether its result is to come over Attach.
fn check_task(
    task: Option<Task>,
    index: &mut u32,
) -> Result<(AssignedTask, String, bool), Problem> {
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
                channel: function.channel.map(|_| take(index)),
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
    Ok((AssignedTask { task: Some(task) }, description, result))
}

fn check_state(
    state: StartState,
    index: &mut u32,
    descriptors: &[OwnedFd],
) -> Result<AssignedState, Problem> {
    let cwd = state.cwd.map(|_| take(index));
    if let Some(cwd) = cwd
        && let Some(descriptor) = descriptors.get(cwd as usize)
        && !rustix::fs::fstat(descriptor)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
    {
        return Err(Problem::bad_request("spec.state.cwd", "it is no directory"));
    }
    no_nul("spec.state.cwd_path", &state.cwd_path)?;
    if state.descriptors.len() > MAX_DESCRIPTORS {
        return Err(Problem::limit("descriptors of one worker", MAX_DESCRIPTORS));
    }
    let mut placed = Vec::with_capacity(state.descriptors.len());
    let mut targets = std::collections::HashSet::new();
    for (position, item) in state.descriptors.iter().enumerate() {
        let field = format!("spec.state.descriptors[{position}]");
        if item.descriptor.is_none() {
            return Err(Problem::bad_request(&field, "no descriptor is named"));
        }
        if item.target > MAX_TARGET {
            return Err(Problem::bad_request(
                &field,
                format!("the target is over {MAX_TARGET}"),
            ));
        }
        if !targets.insert(item.target) {
            return Err(Problem::bad_request(
                &field,
                format!("target {} is given twice", item.target),
            ));
        }
        placed.push(assigned_state::Placed {
            index: take(index),
            target: item.target,
        });
    }
    check_env(&state.env)?;
    rlimits("spec.state.rlimits", &state.rlimits)?;
    if state.umask.is_some_and(|umask| umask > 0o777) {
        return Err(Problem::bad_request("spec.state.umask", "over 0777"));
    }
    if state.nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
        return Err(Problem::bad_request("spec.state.nice", "not in -20..=19"));
    }
    if state.affinity.iter().any(|cpu| *cpu >= MAX_CPU) {
        return Err(Problem::bad_request(
            "spec.state.affinity",
            format!("a CPU number is over {}", MAX_CPU - 1),
        ));
    }
    for (field, signals) in [
        ("spec.state.blocked_signals", &state.blocked_signals),
        ("spec.state.ignored_signals", &state.ignored_signals),
    ] {
        if signals.iter().any(|n| !(1..=MAX_SIGNAL).contains(n)) {
            return Err(Problem::bad_request(field, "not in 1..=64"));
        }
    }
    if state.controlling_terminal && !state.new_session {
        return Err(Problem::bad_request(
            "spec.state.controlling_terminal",
            "only a new session can take a terminal",
        ));
    }
    Ok(AssignedState {
        cwd,
        cwd_path: state.cwd_path,
        env: state.env,
        umask: state.umask,
        placed,
        rlimits: state.rlimits,
        nice: state.nice,
        affinity: state.affinity,
        blocked_signals: state.blocked_signals,
        ignored_signals: state.ignored_signals,
        new_session: state.new_session,
        controlling_terminal: state.controlling_terminal,
    })
}

fn check_env(env: &[EnvDirective]) -> Result<(), Problem> {
    const FIELD: &str = "spec.state.env";
    for directive in env {
        let name = match &directive.step {
            Some(env_directive::Step::Clear(_)) => continue,
            Some(env_directive::Step::Replace(block)) => {
                environment::check(block).map_err(|error| Problem::bad_request(FIELD, error))?;
                continue;
            }
            Some(env_directive::Step::Remove(name)) => name,
            Some(env_directive::Step::Set(set)) => {
                no_nul(FIELD, [&set.value])?;
                &set.name
            }
            None => return Err(Problem::bad_request(FIELD, "a directive without a step")),
        };
        no_nul(FIELD, [name])?;
        if name.is_empty() || name.contains(&b'=') {
            return Err(Problem::bad_request(
                FIELD,
                "a variable's name must not be empty nor hold an equals sign",
            ));
        }
    }
    Ok(())
}

/// Limits by number, checked.
pub(crate) fn rlimits(field: &str, limits: &[v1::Rlimit]) -> Result<Vec<Rlimit>, Problem> {
    limits
        .iter()
        .map(|limit| {
            if !RESOURCES.contains(&limit.resource) {
                return Err(Problem::bad_request(
                    field,
                    format!("{} is no resource", limit.resource),
                ));
            }
            if limit.soft > limit.hard {
                return Err(Problem::bad_request(
                    field,
                    format!("resource {}: soft over hard", limit.resource),
                ));
            }
            Ok(Rlimit {
                resource: limit.resource,
                soft: limit.soft,
                hard: limit.hard,
            })
        })
        .collect()
}

fn no_nul<'a>(field: &str, texts: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<(), Problem> {
    if texts.into_iter().any(|text| text.contains(&0)) {
        return Err(Problem::bad_request(field, "a NUL byte inside"));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(program: &str) -> WorkerSpec {
        WorkerSpec {
            request_id: vec![1],
            template: "command".to_owned(),
            task: Some(Task {
                task: Some(task::Task::Command(task::Command {
                    program: program.into(),
                    ..task::Command::default()
                })),
            }),
            ..WorkerSpec::default()
        }
    }

    fn main(name: Vec<u8>) -> Option<Task> {
        let args = vec![b"x".to_vec()];
        let arg0 = Some(name);
        let main = task::Task::Main(task::Main { args, arg0 });
        Some(Task { task: Some(main) })
    }

    fn connection() -> Connection {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _context = runtime.enter();
        let (socket, _) = tokio::net::UnixStream::pair().unwrap();
        mpfork_transport::FdStream::server(socket)
            .unwrap()
            .connection()
    }

    #[test]
    fn the_smallest_request_is_fine() {
        let request = StartRequest::parse(command("true"), &connection(), false).unwrap();
        assert!(request.is_command());
        assert_eq!(request.description, "true");
        assert!(!request.keep);
    }

    #[test]
    fn each_field_is_checked_and_named() {
        type Change = fn(&mut WorkerSpec);
        let cases: &[(&str, Change)] = &[
            ("spec.request_id", |s| s.request_id.clear()),
            ("spec.request_id", |s| s.request_id = vec![0; 65]),
            ("spec.name", |s| s.name = "x".repeat(257)),
            ("spec.parent.name", |s| {
                s.parent.get_or_insert_default().name = "x".repeat(257);
            }),
            ("spec.parent.start_method", |s| {
                s.parent.get_or_insert_default().start_method = "x".repeat(33);
            }),
            ("spec.template", |s| s.template.clear()),
            ("spec.task", |s| s.task = None),
            ("spec.task.command.program", |s| *s = command("")),
            ("spec.task.command.program", |s| *s = command("a\0b")),
            ("spec.task.main.arg0", |s| s.task = main(b"a\0".to_vec())),
            ("spec.task.main.arg0", |s| {
                s.task = main(vec![b'x'; MAX_ARG0 + 1]);
            }),
            ("spec.on_owner_death", |s| s.on_owner_death = 9),
            ("spec.time_limit", |s| {
                s.time_limit = Some(prost_types::Duration::default());
            }),
            ("spec.time_limit", |s| {
                s.time_limit = Some(prost_types::Duration {
                    seconds: -1,
                    nanos: 0,
                });
            }),
            ("spec.grace", |s| {
                s.grace = Some(prost_types::Duration {
                    seconds: i64::MAX,
                    nanos: 0,
                });
            }),
            ("spec.state.umask", |s| {
                s.state.get_or_insert_default().umask = Some(0o1000);
            }),
            ("spec.state.nice", |s| {
                s.state.get_or_insert_default().nice = Some(20);
            }),
            ("spec.state.env", |s| {
                s.state.get_or_insert_default().env = vec![EnvDirective::default()];
            }),
            ("spec.state.blocked_signals", |s| {
                s.state.get_or_insert_default().blocked_signals = vec![0];
            }),
            ("spec.state.affinity", |s| {
                s.state.get_or_insert_default().affinity = vec![u32::MAX];
            }),
            ("spec.state.rlimits", |s| {
                s.state.get_or_insert_default().rlimits = vec![v1::Rlimit {
                    resource: 99,
                    soft: 0,
                    hard: 0,
                }];
            }),
            ("spec.state.controlling_terminal", |s| {
                s.state.get_or_insert_default().controlling_terminal = true;
            }),
            ("spec.state.descriptors[0]", |s| {
                s.state.get_or_insert_default().descriptors = vec![v1::PlacedDescriptor::default()];
            }),
        ];
        for (field, change) in cases {
            let mut spec = command("true");
            change(&mut spec);
            let problem = StartRequest::parse(spec, &connection(), false).unwrap_err();
            assert_eq!(problem.get("field"), *field, "{problem}");
        }
    }

    #[test]
    fn another_name_makes_another_request() {
        let parse = |name: &[u8]| {
            let mut spec = command("true");
            spec.task = main(name.to_vec());
            StartRequest::parse(spec, &connection(), false).unwrap()
        };
        assert_eq!(parse(b"a").fingerprint, parse(b"a").fingerprint);
        assert_ne!(parse(b"a").fingerprint, parse(b"b").fingerprint);
        assert_eq!(parse(&[b'x'; MAX_ARG0]).description, "main x");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            use mpfork_proto::Message as _;
            if let Ok(spec) = WorkerSpec::decode(bytes.as_slice()) {
                let _ = StartRequest::parse(spec, &connection(), false);
            }
        }
    }
}
