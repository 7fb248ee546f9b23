//! `WaitWorker`: with and without a limit, by anybody, before and after the end.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{WaitWorkerRequest, WaitWorkerResponse, WorkerId};
use mpfork_tests::harness::spec::{command, millis, shell};
use mpfork_tests::harness::{Setup, TestClient, check, refused, refused_field};
use std::time::{Duration, Instant};
use tonic::Status;

async fn wait(
    client: &TestClient,
    worker: WorkerId,
    timeout: Option<prost_types::Duration>,
) -> Result<WaitWorkerResponse, Status> {
    let request = WaitWorkerRequest {
        worker: Some(worker),
        timeout,
    };
    let answer = client.workers().wait_worker(request).await?;
    Ok(answer.into_inner())
}

#[test]
fn a_wait_ends_with_its_limit_or_with_the_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let run = client.run(command(&["sleep", "600"])).await;
        let begun = Instant::now();
        let answer = wait(&client, run.id(), millis(200)).await.unwrap();
        assert_eq!(answer.exit, None);
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let answer = wait(&client, run.id(), millis(0)).await.unwrap();
        assert_eq!(answer.exit, None);
        let waiting = wait(&client, run.id(), millis(60_000));
        let signal = client.signal(run.id(), 12, false);
        let (answer, delivered) = tokio::join!(waiting, signal);
        assert!(delivered.unwrap());
        assert_eq!(answer.unwrap().exit.unwrap().exitcode(), -12);
    });
}

#[test]
fn anybody_may_wait_for_one_that_has_ended_or_will() {
    check(Setup::new(), async |daemon| {
        let owner = daemon.connect().await;
        let (one, two) = (daemon.connect().await, daemon.connect().await);
        let mut run = owner.run(command(&["sleep", "600"])).await;
        let id = run.id();
        let end = async {
            // Both wait by now, or will soon; it is the same to them.
            assert_eq!(wait(&owner, id, millis(50)).await.unwrap().exit, None);
            owner.signal(id, 15, false).await.unwrap();
            run.exit().await
        };
        let (a, b, exit) = tokio::join!(wait(&one, id, None), wait(&two, id, None), end);
        assert_eq!(a.unwrap().exit.as_ref(), Some(&exit));
        assert_eq!(b.unwrap().exit.as_ref(), Some(&exit));
        // After its end, at once, again and again, and by one that comes only now.
        let late = daemon.connect().await;
        for client in [&owner, &one, &late] {
            let answer = wait(client, id, millis(0)).await.unwrap();
            assert_eq!(answer.exit.as_ref(), Some(&exit));
        }
    });
}

#[test]
fn a_waiter_that_goes_away_disturbs_nobody() {
    check(Setup::new(), async |daemon| {
        let owner = daemon.connect().await;
        let mut run = owner.run(command(&["sleep", "600"])).await;
        let id = run.id();
        {
            let impatient = daemon.connect().await;
            let waiting =
                tokio::time::timeout(Duration::from_millis(50), wait(&impatient, id, None));
            assert!(waiting.await.is_err());
        }
        assert!(owner.signal(id, 9, false).await.unwrap());
        assert_eq!(run.exit().await.exitcode(), -9);
    });
}

#[test]
fn many_waits_at_once_all_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut waits = tokio::task::JoinSet::new();
        let mut ids = Vec::new();
        for code in 0..50 {
            let started = client
                .start(shell(&format!("exit {code}")), false)
                .await
                .unwrap();
            ids.push(started.worker);
        }
        for (code, worker) in ids.into_iter().enumerate() {
            let mut workers = client.workers();
            waits.spawn(async move {
                let request = WaitWorkerRequest {
                    worker,
                    timeout: None,
                };
                let answer = workers.wait_worker(request).await.unwrap().into_inner();
                (code, answer.exit.unwrap().exitcode())
            });
        }
        while let Some(ended) = waits.join_next().await {
            let (code, exitcode) = ended.unwrap();
            assert_eq!(usize::try_from(exitcode), Ok(code));
        }
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        refused_field(client.wait(None).await, "worker");
        let exit = client.run(shell("exit 0")).await;
        let negative = prost_types::Duration {
            seconds: -1,
            nanos: 0,
        };
        refused_field(wait(&client, exit.id(), Some(negative)).await, "timeout");
        let endless = prost_types::Duration {
            seconds: i64::MAX,
            nanos: 0,
        };
        refused_field(wait(&client, exit.id(), Some(endless)).await, "timeout");
        let nobody = WorkerId {
            instance: 1,
            counter: 1,
        };
        refused(wait(&client, nobody, None).await, Reason::UnknownWorker);
    });
}
