//! `Drain`: no more starts, while what runs goes on to its end; and back.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{DrainRequest, DrainResponse, DrainState, TemplateState};
use mpfork_tests::harness::process::{lives, stop};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{command, duration, function, millis, shell};
use mpfork_tests::harness::{
    Setup, TestClient, check, eventually_async, refused, refused_field, template,
};
use std::time::Duration;
use tonic::Streaming;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

struct Draining(Streaming<DrainResponse>);

impl Draining {
    async fn next(&mut self) -> Option<(DrainState, u32)> {
        let news = self.0.message().await.unwrap()?;
        Some((news.state(), news.workers))
    }

    /// Until it is over; the last that is told.
    async fn over(mut self) -> (DrainState, u32) {
        let mut last = None;
        while let Some(news) = self.next().await {
            last = Some(news);
        }
        last.unwrap()
    }
}

async fn drain(client: &TestClient, request: DrainRequest) -> Draining {
    Draining(client.admin().drain(request).await.unwrap().into_inner())
}

fn undo() -> DrainRequest {
    DrainRequest {
        undo: true,
        ..DrainRequest::default()
    }
}

async fn health(client: &TestClient) -> ServingStatus {
    let mut health = HealthClient::new(client.channel.clone());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    match answer.into_inner().status {
        1 => ServingStatus::Serving,
        2 => ServingStatus::NotServing,
        other => panic!("{other}"),
    }
}

async fn zygote_gone(client: &TestClient, pid: i32) {
    eventually_async("the zygote leaves", async || {
        let gone = client
            .status()
            .await
            .templates
            .iter()
            .all(|t| t.zygote_pid != pid);
        (gone && !lives(pid)).then_some(())
    })
    .await;
}

#[test]
fn what_runs_goes_on_and_nothing_is_begun() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let idle = client.template(&digest).await.zygote_pid;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let busy = client.template("command").await.zygote_pid;
        let spec = shell("exit 0");
        let mut again = spec.clone();
        client.exit_of(spec).await;

        let mut draining = drain(&client, DrainRequest::default()).await;
        assert_eq!(draining.next().await, Some((DrainState::Draining, 1)));
        assert!(client.status().await.draining);
        assert_eq!(health(&client).await, ServingStatus::NotServing);
        // A zygote leaves when its own workers have ended.
        zygote_gone(&client, idle).await;
        assert!(lives(busy));

        let cold = eventually_async("its template is cold", async || {
            let template = client.template(&digest).await;
            (template.state() == TemplateState::Cold).then_some(template.reason)
        });
        let reason = cold.await;
        assert_eq!(reason, "no zygote: mpforkd drains and takes no starts");

        refused(client.try_run(shell("exit 0")).await, Reason::Draining);
        refused(client.start(shell("exit 0"), true).await, Reason::Draining);
        refused(client.warm(&digest).await, Reason::Draining);
        refused(client.reload(&digest).await, Reason::Draining);
        let program = test_program();
        let other = template(&program, &[("TEST_VALUE", "other")]);
        refused(client.try_register(&program, other).await, Reason::Draining);
        // Who lost the answer of a start still gets it.
        client.start(again.clone(), true).await.unwrap();
        again.template = "other".to_owned();
        refused_field(client.start(again, true).await, "spec.request_id");

        assert_eq!(client.list_workers(false).await.len(), 1);
        assert_eq!(client.get_worker(run.id()).await.unwrap().pid, run.pid());
        client.signal(run.id(), 15, false).await.unwrap();
        assert_eq!(client.wait(Some(run.id())).await.unwrap().exitcode(), -15);
        run.exit().await;
        assert_eq!(draining.over().await, (DrainState::Drained, 0));
        zygote_gone(&client, busy).await;
        refused(client.try_run(shell("exit 0")).await, Reason::Draining);
    });
}

#[test]
fn starts_that_wait_are_refused() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let start = client.try_run(function(&digest, "value", ()));
        let warm = client.warm(&digest);
        let drained = async {
            eventually_async("both wait", async || {
                (client.in_use("waiting_starts").await == 2).then_some(())
            })
            .await;
            drain(&client, DrainRequest::default()).await.over().await
        };
        let (started, warmed, drained) = tokio::join!(start, warm, drained);
        refused(started, Reason::Draining);
        refused(warmed, Reason::Draining);
        assert_eq!(drained, (DrainState::Drained, 0));
        // The zygote that gets ready now is not kept.
        std::fs::write(&gate, "").unwrap();
        eventually_async("it is let go", async || {
            let template = client.template(&digest).await;
            (template.state() == TemplateState::Cold && template.zygote_pid == 0).then_some(())
        })
        .await;
    });
}

#[test]
fn after_the_deadline_workers_are_ended() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut obedient = client.run(command(&["sleep", "600"])).await;
        let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
        let (mut deaf, _) = client.run_until_line(shell(script)).await;
        let request = DrainRequest {
            deadline: millis(50),
            grace: millis(50),
            ..DrainRequest::default()
        };
        let draining = drain(&client, request).await;
        assert_eq!(obedient.exit().await.exitcode(), -15);
        assert_eq!(deaf.exit().await.exitcode(), -9);
        assert_eq!(draining.over().await, (DrainState::Drained, 0));
    });
}

#[test]
fn a_drain_can_be_undone() {
    let program = test_program();
    let config = format!("[templates.kept]\nprogram = {program:?}\nwarm = true");
    check(Setup::new().config(&config), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let draining = drain(&client, DrainRequest::default()).await;
        assert_eq!(
            drain(&client, undo()).await.over().await.0,
            DrainState::Accepting
        );
        // Who waits for the end of the drain is told that there is none.
        assert_eq!(draining.over().await, (DrainState::Accepting, 1));
        assert!(!client.status().await.draining);
        assert_eq!(health(&client).await, ServingStatus::Serving);
        assert!(client.exit_of(shell("exit 0")).await.success());
        // What is to be warm at all times is again.
        eventually_async("it is warm", async || {
            let state = client.template("kept").await.state();
            (state == TemplateState::Warm).then_some(())
        })
        .await;
        assert!(lives(run.pid()));
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        // Drained, it can be undone as well; and undone twice.
        let drained = drain(&client, DrainRequest::default()).await.over().await;
        assert_eq!(drained, (DrainState::Drained, 0));
        for _ in 0..2 {
            drain(&client, undo()).await.over().await;
        }
        assert!(client.exit_of(shell("exit 0")).await.success());
    });
}

#[test]
fn a_later_drain_takes_the_place_of_the_one_before() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let patient = drain(&client, DrainRequest::default()).await;
        let request = DrainRequest {
            deadline: millis(0),
            ..DrainRequest::default()
        };
        let hurried = drain(&client, request).await;
        assert_eq!(run.exit().await.exitcode(), -15);
        for draining in [patient, hurried] {
            assert_eq!(draining.over().await, (DrainState::Drained, 0));
        }
    });
}

#[test]
fn the_drain_goes_on_without_the_caller_and_may_end_the_daemon() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let other = daemon.connect().await;
        let request = DrainRequest {
            exit: true,
            ..DrainRequest::default()
        };
        drop(drain(&other, request).await);
        drop(other);
        client.signal(run.id(), 15, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -15);
        drop((run, client));
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}

#[test]
fn the_last_word_comes_before_the_daemon_ends() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = DrainRequest {
            exit: true,
            ..DrainRequest::default()
        };
        let drained = drain(&client, request).await.over().await;
        assert_eq!(drained, (DrainState::Drained, 0));
        drop(client);
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let wrong = async |request: DrainRequest, field| {
            refused_field(client.admin().drain(request).await, field);
        };
        let negative = Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        });
        let request = DrainRequest {
            deadline: negative,
            ..DrainRequest::default()
        };
        wrong(request, "deadline").await;
        let request = DrainRequest {
            grace: negative,
            ..DrainRequest::default()
        };
        wrong(request, "grace").await;
        wrong(
            DrainRequest {
                exit: true,
                ..undo()
            },
            "exit",
        )
        .await;
        let request = DrainRequest {
            grace: duration(Duration::ZERO),
            ..undo()
        };
        wrong(request, "grace").await;
        assert!(!client.status().await.draining);
    });
}

#[test]
fn a_stopped_zygote_does_not_hold_up_the_deadline() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        let zygote = client.template("command").await.zygote_pid;
        stop(zygote);
        let request = DrainRequest {
            deadline: millis(10),
            grace: millis(10),
            ..DrainRequest::default()
        };
        // Nobody but the zygote could tell: it is killed, and its worker is the daemon's own then.
        let over = drain(&client, request).await.over().await;
        assert_eq!(over, (DrainState::Drained, 0));
        assert_eq!(run.exit().await.exitcode(), -15);
        eventually_async("the zygote is gone", async || {
            (!lives(zygote)).then_some(())
        })
        .await;
    });
}
