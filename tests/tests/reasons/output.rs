//! What workers write can't be had.

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::ReadLogsRequest;
use mpfork_proto::v1::logs_client::LogsClient;
use mpfork_proto::v1::read_logs_request::Source;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Setup, check, refused};

pub(super) fn already_attached() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let attached = client.attach(shell("cat")).await;
        let id = attached.id();
        let problem = refused(client.attach_to(id).await, Reason::AlreadyAttached);
        assert_eq!(problem.get("worker"), id.to_string());
    });
}

pub(super) fn not_attachable() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let run = client.run(shell("exec sleep 600")).await;
        let problem = refused(client.attach_to(run.id()).await, Reason::NotAttachable);
        assert_eq!(problem.get("worker"), run.id().to_string());
        assert!(problem.get("detail").contains("streams"), "{problem}");
    });
}

pub(super) fn not_kept() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let attached = client.attach(shell("cat")).await;
        let request = ReadLogsRequest {
            source: Some(Source::Worker(attached.id())),
            follow: false,
        };
        let mut logs = LogsClient::new(client.channel.clone());
        let problem = refused(logs.read_logs(request).await, Reason::NotKept);
        assert_eq!(problem.get("worker"), attached.id().to_string());
    });
}
