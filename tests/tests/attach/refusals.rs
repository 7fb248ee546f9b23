//! What is refused, and why.

use super::attachable;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::attach_request::{Message, Start, StdinEnd};
use mpfork_proto::v1::{Stdio, Stream, WorkerId, WorkerSpec, task};
use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{Setup, check, refused, refused_field};
use tokio_stream::wrappers::ReceiverStream;

fn start(spec: WorkerSpec) -> Message {
    Message::Start(Start {
        spec: Some(spec),
        detached: false,
    })
}

#[test]
fn a_second_one_is_refused_while_the_first_is_there() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let other = daemon.connect().await;
        let mut attached = client.attach(shell("cat")).await;
        let id = attached.id();
        for client in [&client, &other] {
            let problem = refused(client.attach_to(id).await, Reason::AlreadyAttached);
            assert_eq!(problem.get("worker"), id.to_string());
        }
        // It did no harm.
        attached.stdin(b"still here").await;
        attached.half_close();
        assert_eq!(attached.everything().await.stdout, b"still here");
    });
}

#[test]
fn there_must_be_something_to_attach_to() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(shell("exec sleep 600")).await;
        let problem = refused(client.attach_to(run.id()).await, Reason::NotAttachable);
        assert_eq!(problem.get("worker"), run.id().to_string());
        client.signal(run.id(), 9, true).await.unwrap();
        run.exit().await;
        let nobody = WorkerId {
            counter: 999,
            ..run.id()
        };
        refused(client.attach_to(nobody).await, Reason::UnknownWorker);
        // Of those that ended, the last are kept.
        let spec = attachable(shell("echo kept for a while"));
        let started = client.start(spec, true).await.unwrap();
        let id = started.worker.unwrap();
        client.wait(Some(id)).await.unwrap();
        for _ in 0..70 {
            client.exit_of(shell("exit 0")).await;
        }
        let problem = refused(client.attach_to(id).await, Reason::NotAttachable);
        assert!(problem.get("detail").contains("too long ago"), "{problem}");
    });
}

#[test]
fn wrong_messages_are_told() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for first in [
            Message::Stdin(b"too early".to_vec()),
            Message::StdinEnd(StdinEnd {}),
        ] {
            refused_field(client.try_attach(first).await, "message");
        }
        let (sender, nothing) = tokio::sync::mpsc::channel(1);
        drop(sender);
        let mut workers = client.workers();
        let answer = workers.attach(ReceiverStream::new(nothing)).await;
        refused_field(answer, "message");
        let no_spec = Message::Start(Start::default());
        refused_field(client.try_attach(no_spec).await, "spec");
        let mut attached = client.attach(shell("cat")).await;
        attached.send(Message::Worker(attached.id())).await;
        refused_field(attached.try_next().await, "message");
    });
}

#[test]
fn streams_that_make_no_sense_are_named() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let with = |change: fn(&mut Stdio)| {
            let mut spec = shell("exit 0");
            let mut stdio = Stdio::default();
            change(&mut stdio);
            spec.state.get_or_insert_default().stdio = Some(stdio);
            spec
        };
        let kept = with(|stdio| stdio.set_stdin(Stream::Kept));
        refused_field(client.try_run(kept).await, "spec.state.stdio.stdin");
        let unknown = with(|stdio| stdio.stderr = 17);
        refused_field(client.try_run(unknown).await, "spec.state.stdio.stderr");
        let null = std::fs::File::open("/dev/null").unwrap();
        let queued = client.queue(vec![null.into()]).await;
        let mut both = with(|stdio| stdio.set_stdout(Stream::Attached));
        spec::place(&mut both, queued.descriptors[0], 1);
        refused_field(client.try_run(both).await, "spec.state.stdio.stdout");
        // A result needs somewhere to go, and an argument without a channel is here.
        let template = client.test_template(&[]).await;
        let result = |argument: &[u8]| {
            let mut spec = function(&template, "value", ());
            if let Some(task::Task::Function(function)) = spec.task.as_mut().unwrap().task.as_mut()
            {
                function.result = true;
                function.argument = argument.to_vec();
            }
            spec
        };
        let refusal = client.try_attach(start(result(b""))).await;
        refused_field(refusal, "spec.task.function.argument");
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let queued = client.queue(vec![theirs.into()]).await;
        let mut both = result(b"\xc0");
        if let Some(task::Task::Function(function)) = both.task.as_mut().unwrap().task.as_mut() {
            function.channel = Some(queued.descriptors[0]);
        }
        refused_field(
            client.try_attach(start(both)).await,
            "spec.task.function.result",
        );
        assert!(client.list_workers(true).await.is_empty());
    });
}
