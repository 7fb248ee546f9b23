//! `ListWorkers`: running ones, ended ones, one template's, with memory.
#![allow(clippy::unwrap_used)]

use mpfork_proto::Message as _;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ListWorkersRequest, Worker};
use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{Setup, TestClient, check, refused};
use std::process::Command;

async fn list(client: &TestClient, request: ListWorkersRequest) -> Vec<Worker> {
    let answer = client.workers().list_workers(request).await.unwrap();
    answer.into_inner().workers
}

#[test]
fn workers_are_listed_oldest_first_by_what_is_asked() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        assert!(client.list_workers(true).await.is_empty());
        let digest = client.test_template(&[]).await;
        let mut ended = client.run(shell("exit 3")).await;
        ended.exit().await;
        let sleeping = client.run(command(&["sleep", "600"])).await;
        let (hanging, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let ids = |workers: &[Worker]| -> Vec<_> {
            workers
                .iter()
                .map(|worker| worker.worker.unwrap())
                .collect()
        };
        assert_eq!(
            ids(&client.list_workers(false).await),
            [sleeping.id(), hanging.id()]
        );
        let all = client.list_workers(true).await;
        assert_eq!(ids(&all), [ended.id(), sleeping.id(), hanging.id()]);
        assert_eq!(all[0].exit.as_ref().unwrap().exitcode(), 3);
        for (template, expected) in [
            ("command", vec![ended.id(), sleeping.id()]),
            (digest.as_str(), vec![hanging.id()]),
            // The beginning of a digest names it too.
            (&digest[..8], vec![hanging.id()]),
        ] {
            let request = ListWorkersRequest {
                ended: true,
                template: template.to_owned(),
                memory: false,
            };
            let listed = list(&client, request).await;
            assert_eq!(ids(&listed), expected);
            assert!(listed.iter().all(|worker| worker.memory.is_none()));
        }
        let request = ListWorkersRequest {
            ended: true,
            template: String::new(),
            memory: true,
        };
        let listed = list(&client, request).await;
        for worker in &listed {
            assert_eq!(worker.memory.is_some(), worker.exit.is_none());
        }
        // Another client sees the same.
        assert_eq!(daemon.connect().await.list_workers(true).await, all);
    });
}

#[test]
fn only_so_many_ended_ones_are_remembered() {
    let setup = Setup::new().config("[limits]\nretained_exits = 3");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        for code in 0..6 {
            client.exit_of(shell(&format!("exit {code}"))).await;
        }
        let codes: Vec<_> = client
            .list_workers(true)
            .await
            .iter()
            .map(|worker| worker.exit.as_ref().unwrap().exitcode())
            .collect();
        assert_eq!(codes, [3, 4, 5]);
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.started, totals.exited), (6, 6));
    });
}

/// Workers that failed with much to tell.
async fn fail_at_length(client: &TestClient, template: &str, count: usize) {
    for _ in 0..count {
        let exit = client
            .exit_of(function(template, "fail-at-length", ()))
            .await;
        assert_eq!(exit.exitcode(), 1);
    }
}

#[test]
fn what_does_not_fit_in_an_answer_is_counted_and_what_does_not_in_memory_forgotten() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let running = client.run(command(&["sleep", "600"])).await;
        let mut first = client.run(function(&digest, "fail-at-length", ())).await;
        assert_eq!(first.exit().await.exitcode(), 1);
        let all = ListWorkersRequest {
            ended: true,
            ..ListWorkersRequest::default()
        };
        fail_at_length(&client, &digest, 99).await;
        let answer = client.workers().list_workers(all.clone()).await;
        let answer = answer.unwrap().into_inner();
        assert!(answer.omitted > 0);
        assert_eq!(answer.workers.len() as u64 + answer.omitted, 101);
        // The one that runs is the oldest, and no more may be left out than has to be.
        let ids: Vec<u64> = answer
            .workers
            .iter()
            .map(|worker| worker.worker.unwrap().counter)
            .collect();
        let newest = answer.omitted + 2..=101;
        assert_eq!(ids, [1].into_iter().chain(newest).collect::<Vec<_>>());
        assert!(answer.encoded_len() > mpfork_proto::MAX_MESSAGE_BYTES / 4 * 3);
        // mpctl says so.
        let mpctl = Command::new(program("mpctl-under-test"))
            .arg("--socket")
            .arg(daemon.socket())
            .args(["ps", "--all"])
            .output()
            .unwrap();
        let said = String::from_utf8(mpctl.stderr).unwrap();
        let expected = format!(
            "mpctl: {} more have ended, and are left out",
            answer.omitted
        );
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(
            mpctl.stdout.iter().filter(|byte| **byte == b'\n').count(),
            ids.len() + 1
        );
        // Within the bound of memory it is remembered all the same, and beyond it no more.
        assert!(client.get_worker(first.id()).await.unwrap().exit.is_some());
        fail_at_length(&client, &digest, 1400).await;
        refused(client.get_worker(first.id()).await, Reason::UnknownWorker);
        let answer = client
            .workers()
            .list_workers(all)
            .await
            .unwrap()
            .into_inner();
        let remembered = answer.workers.len() as u64 + answer.omitted;
        assert!((1200..1450).contains(&remembered), "{remembered}");
        assert_eq!(client.get_worker(running.id()).await.unwrap().exit, None);
    });
}

#[test]
fn an_unknown_template_is_refused() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = ListWorkersRequest {
            template: "nobody".to_owned(),
            ..ListWorkersRequest::default()
        };
        let listed = client.workers().list_workers(request).await;
        refused(listed, Reason::UnknownTemplate);
    });
}
