//! A start request, checked once at the edge: from the wire to what a worker gets.

use super::streams::Plan;
use crate::calls::Held;
use crate::events::Asked;
use crate::zygote::Zygote;
use mpfork_driver::start::{Start, references};
use mpfork_proto::link::{Assignment, assigned_task};
use mpfork_proto::problem::Problem;
use mpfork_proto::v1::{StartWay, WorkerId, WorkerSpec, task};
use mpfork_transport::Connection;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::fd::OwnedFd;
use std::time::Instant;

const MAX_REQUEST_ID: usize = 64;

/// A start that may go on.
#[derive(Debug)]
pub(crate) struct StartRequest {
    pub(crate) request_id: Vec<u8>,
    /// Tells a repeated request from another one with the same id.
    pub(crate) fingerprint: u64,
    pub(crate) template: String,
    pub(crate) start: Start,
    /// In the order of the indices in its task and state.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// What mpforkd adds to them before the worker starts.
    pub(crate) plan: Plan,
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
        if spec.template.is_empty() {
            return Err(Problem::bad_request("spec.template", "none is named"));
        }
        let (request_id, template) = (spec.request_id.clone(), spec.template.clone());
        let stdio = spec.state.as_ref().and_then(|state| state.stdio);
        let start = Start::check(spec, &descriptors)?;
        let placed = &start.state.placed;
        let plan = Plan::new(stdio, placed, descriptors.len(), start.result, attaching)?;
        Ok(Self {
            request_id,
            fingerprint,
            template,
            start,
            descriptors,
            plan,
            deadline: None,
            held: None,
        })
    }

    /// What is told of it when it gives no worker.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            template: &self.template,
            name: &self.start.name,
            task: &self.start.description,
        }
    }

    /// The registered function it asks for.
    pub(crate) fn function_name(&self) -> Option<&str> {
        match &self.start.task.task {
            Some(assigned_task::Task::Function(function)) => match &function.target {
                Some(assigned_task::function::Target::Name(name)) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// The frame that a worker takes from its own socket.
    pub(crate) fn assignment(&self, id: WorkerId, way: StartWay, zygote: &Zygote) -> Assignment {
        let inherited = zygote.inherited.as_ref();
        self.start
            .assignment(id, way, self.descriptors.len(), inherited)
    }

    /// Whether the worker executes a program.
    pub(crate) fn is_command(&self) -> bool {
        matches!(self.start.task.task, Some(assigned_task::Task::Command(_)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mpfork_driver::task::MAX_ARG0;
    use mpfork_proto::v1::{self, EnvDirective, Task};
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
        assert_eq!(request.start.description, "true");
        assert!(!request.start.keep);
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
        assert_eq!(parse(&[b'x'; MAX_ARG0]).start.description, "main x");
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
