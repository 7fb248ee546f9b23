//! `GetWorker`: all that is known of a worker.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{GetWorkerRequest, OnOwnerDeath, StartWay, WorkerId, WorkerSpec};
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{Setup, check, refused, refused_field};
use std::time::{Duration, SystemTime};

#[test]
fn a_worker_is_described_while_it_runs_and_after() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let before = SystemTime::now() - Duration::from_secs(1);
        let spec = WorkerSpec {
            name: "the name, ä".to_owned(),
            on_owner_death: OnOwnerDeath::Keep.into(),
            ..command(&["sleep", "600", "a b\n"])
        };
        // `sleep` refuses its second argument; the description is what was asked for.
        let mut run = client.run(spec).await;
        let exit = run.exit().await;
        assert_eq!(exit.exitcode(), 1);
        let worker = client.get_worker(run.id()).await.unwrap();
        assert_eq!(worker.worker, Some(run.id()));
        assert_eq!(worker.pid, run.pid());
        assert_eq!(worker.name, "the name, ä");
        assert_eq!(
            (worker.template.as_str(), worker.template_name.as_str()),
            ("command", "command")
        );
        // It has ended: nobody owns it any more.
        assert_eq!(worker.owner_pid, 0);
        assert_eq!(worker.task, "sleep 600 a b\\n");
        assert_eq!(worker.on_owner_death(), OnOwnerDeath::Keep);
        assert_eq!(worker.way(), StartWay::Fork);
        assert_eq!(worker.exit, Some(exit));
        let started = SystemTime::try_from(worker.started.unwrap()).unwrap();
        assert!(started > before && started < SystemTime::now() + Duration::from_secs(1));
        let digest = client.test_template(&[]).await;
        let mut run = client.run(function(&digest, "hang", ())).await;
        let worker = client.get_worker(run.id()).await.unwrap();
        assert_eq!((worker.exit, worker.template), (None, digest));
        assert_eq!(worker.template_name, "test-program");
        assert_eq!(worker.task, "hang()");
        assert_eq!(worker.owner_pid, i32::try_from(std::process::id()).unwrap());
        client.signal(run.id(), 9, false).await.unwrap();
        let exit = run.exit().await;
        assert_eq!(client.get_worker(run.id()).await.unwrap().exit, Some(exit));
    });
}

#[test]
fn memory_is_read_on_demand() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let (run, _) = client.run_until_line(shell("echo ready; sleep 600")).await;
        let get = async |memory| {
            let request = GetWorkerRequest {
                worker: Some(run.id()),
                memory,
            };
            let answer = client.workers().get_worker(request).await.unwrap();
            answer.into_inner().worker.unwrap().memory
        };
        assert_eq!(get(false).await, None);
        let memory = get(true).await.unwrap();
        assert!(memory.rss_bytes >= memory.pss_bytes && memory.pss_bytes > 0);
        assert!(memory.private_bytes > 0 && memory.sampled.is_some());
        client.signal(run.id(), 9, true).await.unwrap();
        client.wait(Some(run.id())).await.unwrap();
        assert_eq!(get(true).await, None);
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = GetWorkerRequest::default();
        refused_field(client.workers().get_worker(request).await, "worker");
        let nobody = WorkerId {
            instance: client.handshake.instance,
            counter: 0,
        };
        refused(client.get_worker(nobody).await, Reason::UnknownWorker);
    });
}
