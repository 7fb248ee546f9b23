//! A call's answer is lost.

use mpfork_proto::v1::WorkerSpec;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check, eventually_async};

#[test]
fn when_the_answer_is_lost_the_same_request_gives_the_same_worker() {
    check(Setup::new(), async |daemon| {
        let gate = daemon.gate();
        let witness = daemon.connect().await;
        let digest = witness
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let request = WorkerSpec {
            on_owner_death: 2,
            ..function(&digest, "hang", ())
        };
        // The connection breaks after the request, before the answer.
        {
            let client = daemon.connect().await;
            let start = client.try_run(request.clone());
            let under_way = eventually_async("the start waits", async || {
                (witness.in_use("waiting_starts").await == 1).then_some(())
            });
            tokio::select! {
                _ = start => panic!("it can't have started"),
                () = under_way => {}
            }
        }
        std::fs::write(&gate, "").unwrap();
        eventually_async("it runs", async || {
            (witness.list_workers(false).await.len() == 1).then_some(())
        })
        .await;
        let client = daemon.connect().await;
        let mut run = client.run(request.clone()).await;
        assert_eq!(witness.list_workers(true).await.len(), 1);
        let worker = client.get_worker(run.id()).await.unwrap();
        assert_eq!(worker.owner_pid, i32::try_from(std::process::id()).unwrap());
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        assert_eq!(witness.status().await.workers.unwrap().started, 1);
    });
}

#[test]
fn a_client_that_comes_back_while_its_start_is_under_way_gets_its_worker() {
    check(Setup::new(), async |daemon| {
        let gate = daemon.gate();
        let witness = daemon.connect().await;
        let digest = witness
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let request = function(&digest, "value", ());
        let lost = daemon.connect().await;
        let start = lost.try_run(request.clone());
        let under_way = eventually_async("the start waits", async || {
            (witness.in_use("waiting_starts").await == 1).then_some(())
        });
        tokio::select! {
            _ = start => panic!("it can't have started"),
            () = under_way => {}
        }
        drop(lost);
        eventually_async("the connection is gone", async || {
            (witness.in_use("connections").await == 1).then_some(())
        })
        .await;
        let client = daemon.connect().await;
        let again = client.exit_of(request);
        let open = async {
            // A later call on the same connection is answered: the repetition has arrived.
            client.status().await;
            std::fs::write(&gate, "").unwrap();
        };
        let (exit, ()) = tokio::join!(again, open);
        assert!(exit.success(), "{exit}");
        assert_eq!(witness.status().await.workers.unwrap().started, 1);
    });
}
