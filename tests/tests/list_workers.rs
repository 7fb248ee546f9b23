//! `ListWorkers`: running ones, ended ones, one template's, with memory.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ListWorkersRequest, Worker};
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{Setup, TestClient, check, refused};

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
