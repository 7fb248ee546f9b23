//! Requests that are refused for what they say, or who sends them.

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::connection_client::ConnectionClient;
use mpfork_proto::v1::{self, Descriptor, WorkerId, WorkerSpec};
use mpfork_tests::harness::another_user::{channel_of_nobody, for_everybody};
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{Setup, check, refused, skip_unless_root};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

pub(super) fn bad_request() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let spec = WorkerSpec {
            request_id: Vec::new(),
            ..shell("exit 0")
        };
        let problem = refused(client.try_run(spec).await, Reason::BadRequest);
        assert_eq!(problem.get("field"), "spec.request_id");
        assert!(problem.get("detail").contains("1 to 64"), "{problem}");
    });
}

pub(super) fn version_mismatch() {
    check(Setup::new(), async |daemon| {
        // Of the API.
        let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
        let request = v1::HandshakeRequest {
            version_min: 98,
            version_max: 99,
            client: "of another time".to_owned(),
            descriptor_credit: 0,
        };
        let answer = ConnectionClient::new(channel).handshake(request).await;
        let problem = refused(answer, Reason::VersionMismatch);
        assert!(problem.get("client").contains("of another time"));
        assert!(problem.get("daemon").contains("mpforkd"));
        // Of the link.
        let client = daemon.connect().await;
        let digest = client
            .test_template(&[("TEST_FAULT", "other-version")])
            .await;
        let problem = refused(client.warm(&digest).await, Reason::VersionMismatch);
        assert_eq!(problem.get("client"), "test-program of another time");
        let started = client.try_run(function(&digest, "value", ())).await;
        refused(started, Reason::VersionMismatch);
    });
}

pub(super) fn permission_denied() {
    if skip_unless_root("become another user") {
        return;
    }
    check(Setup::new(), async |daemon| {
        let program = for_everybody(daemon);
        let output = Command::new(&program)
            .arg("status")
            .arg(daemon.socket())
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("refused Some(PermissionDenied)"), "{text}");
        assert!(text.contains("65534"), "{text}");
        assert!(!output.status.success());
        // On the wire, with its code and its facts: a process of the other user holds a
        // connection for this test.
        let mut relayed = ConnectionClient::new(channel_of_nobody(&program, daemon).await);
        let status = relayed.handshake(v1::HandshakeRequest::default()).await;
        let problem = refused(status, Reason::PermissionDenied);
        assert!(problem.get("detail").contains("65534"), "{problem}");
        // The daemon's own user is served all the same.
        let client = daemon.connect().await;
        assert!(client.exit_of(shell("exit 0")).await.success());
    });
}

pub(super) fn descriptor_missing() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let connection = client.connection.id();
        let placed = |connection, number| {
            let mut spec = shell("exit 0");
            spec::place(&mut spec, Descriptor { connection, number }, 5);
            spec
        };
        let missing = async |spec| refused(client.try_run(spec).await, Reason::DescriptorMissing);
        // Never sent; the handshake's own; another connection's; none at all.
        let problem = missing(placed(connection, 777)).await;
        assert_eq!(problem.get("number"), "777");
        missing(placed(connection, 0)).await;
        let other = daemon.connect().await;
        let queued = other.queue(vec![std::io::pipe().unwrap().0.into()]).await;
        let foreign = queued.descriptors[0];
        missing(placed(foreign.connection, foreign.number)).await;
        missing(placed(0, 0)).await;
        // A second time.
        let queued = client.queue(vec![std::io::pipe().unwrap().0.into()]).await;
        let spec = placed(connection, queued.descriptors[0].number);
        assert!(client.exit_of(spec.clone()).await.success());
        let spec = WorkerSpec {
            request_id: spec::request_id(),
            ..spec
        };
        missing(spec).await;
        // What the other connection has sent is still its own.
        let mut spec = shell("exit 0");
        spec::place(&mut spec, foreign, 5);
        assert!(other.exit_of(spec).await.success());
    });
}

pub(super) fn unknown_template() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for name in ["nobody", &"0".repeat(64), "abcdef", &"é".repeat(1000)] {
            let mut spec = shell("exit 0");
            name.clone_into(&mut spec.template);
            let problem = refused(client.try_run(spec).await, Reason::UnknownTemplate);
            assert!(name.starts_with(problem.get("template")), "{problem}");
            refused(client.warm(name).await, Reason::UnknownTemplate);
            refused(client.reload(name).await, Reason::UnknownTemplate);
            refused(client.remove(name).await, Reason::UnknownTemplate);
        }
    });
}

pub(super) fn unknown_worker() {
    let setup = Setup::new().config("[limits]\nretained_exits = 1");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let mut first = client.run(shell("exit 0")).await;
        first.exit().await;
        client.exit_of(shell("exit 0")).await;
        let other_instance = WorkerId {
            instance: first.id().instance ^ 1,
            ..first.id()
        };
        let never = WorkerId {
            counter: 1 << 40,
            ..first.id()
        };
        // Forgotten, of another run, never there.
        for id in [first.id(), other_instance, never] {
            let problem = refused(client.get_worker(id).await, Reason::UnknownWorker);
            assert_eq!(problem.get("worker"), id.to_string());
            refused(client.wait(Some(id)).await, Reason::UnknownWorker);
            refused(client.signal(id, 0, false).await, Reason::UnknownWorker);
        }
    });
}

pub(super) fn deadline_exceeded() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let mut request = tonic::Request::new(v1::WaitWorkerRequest {
            worker: Some(run.id()),
            timeout: None,
        });
        request.set_timeout(Duration::from_secs(1));
        let answer = client.workers().wait_worker(request).await;
        let problem = refused(answer, Reason::DeadlineExceeded);
        assert_eq!(problem.get("what"), "wait_worker");
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
    });
}
