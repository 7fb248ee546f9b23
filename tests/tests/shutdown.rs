//! The end: in order by `Shutdown` or a signal, at once by a second one.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ShutdownRequest, TemplateState};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::{command, duration, function, millis, shell};
use mpfork_tests::harness::{
    Daemon, Ended, Setup, TestClient, check, eventually_async, refused, refused_field,
};
use rustix::process::Signal;
use std::time::{Duration, Instant};

fn in_order() -> Ended {
    Ended {
        how: "code 0".to_owned(),
        ..Ended::default()
    }
}

async fn deaf(client: &TestClient) -> mpfork_tests::harness::Run {
    let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
    client.run_until_line(shell(script)).await.0
}

async fn shutdown(client: &TestClient, grace: Option<prost_types::Duration>) {
    let request = ShutdownRequest { grace };
    client.admin().shutdown(request).await.unwrap();
}

async fn is_ending(client: &TestClient) {
    eventually_async("the end has begun", async || {
        client.status().await.shutting_down.then_some(())
    })
    .await;
}

#[test]
fn workers_get_term_and_owners_learn_of_their_ends() {
    check(Setup::new(), async |daemon: &Daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let mut obedient = client.run(command(&["sleep", "600"])).await;
        let (mut own_code, _) = client
            .run_until_line(shell(
                "trap 'exit 21' TERM; echo ready; while :; do sleep 0.01; done",
            ))
            .await;
        let started = client
            .start(command(&["sleep", "600"]), true)
            .await
            .unwrap();
        shutdown(&client, None).await;
        assert_eq!(obedient.exit().await.exitcode(), -15);
        assert_eq!(own_code.exit().await.exitcode(), 21);
        // Detached ones end, too.
        let exit = client.wait(started.worker).await.unwrap();
        assert_eq!(exit.exitcode(), -15);
        drop((obedient, own_code, client));
        assert_eq!(daemon.gone().await, in_order());
    });
}

#[test]
fn the_grace_period_of_the_request_or_of_the_configuration_holds() {
    let setup = Setup::new().config("[timeouts]\ngrace = \"200ms\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let mut run = deaf(&client).await;
        let begun = Instant::now();
        daemon.signal(Signal::TERM);
        assert_eq!(run.exit().await.exitcode(), -9);
        assert!(begun.elapsed() >= Duration::from_millis(200));
        drop((run, client));
        assert_eq!(daemon.gone().await, in_order());
    });
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = deaf(&client).await;
        shutdown(&client, millis(100)).await;
        assert_eq!(run.exit().await.exitcode(), -9);
        drop((run, client));
        assert_eq!(daemon.gone().await, in_order());
    });
}

#[test]
fn sigint_ends_in_order_too() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        daemon.signal(Signal::INT);
        assert_eq!(run.exit().await.exitcode(), -15);
        drop((run, client));
        assert_eq!(daemon.gone().await, in_order());
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = deaf(&client).await;
        shutdown(&client, duration(Duration::from_secs(600))).await;
        is_ending(&client).await;
        let begun = Instant::now();
        daemon.signal(Signal::TERM);
        let _ = run.try_exit().await;
        let pid = run.pid();
        drop((run, client));
        let ended = daemon.gone().await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(ended.how, "code 1");
        assert_eq!(ended.left, Vec::<String>::new());
        assert!(!lives(pid));
        assert!(!daemon.socket().exists());
    });
}

#[test]
fn a_second_shutdown_changes_nothing() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = deaf(&client).await;
        shutdown(&client, duration(Duration::from_secs(600))).await;
        shutdown(&client, millis(0)).await;
        refused(client.try_run(shell("exit 0")).await, Reason::ShuttingDown);
        assert!(lives(run.pid()));
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        drop((run, client));
        assert_eq!(daemon.gone().await, in_order());
    });
}

#[test]
fn a_start_that_waits_for_a_hanging_preload_does_not_hold_up_the_end() {
    let setup = Setup::new().config("[timeouts]\ngrace = \"300ms\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let start = client.try_run(function(&digest, "value", ()));
        let warm = client.warm(&digest);
        let end = async {
            eventually_async("it is at the gate", async || {
                let template = client.template(&digest).await;
                let warming = template.state() == TemplateState::Warming;
                (warming && template.reason.contains("faulty")).then_some(())
            })
            .await;
            daemon.signal(Signal::TERM);
        };
        let begun = Instant::now();
        let (started, warmed, ()) = tokio::join!(start, warm, end);
        // Typed, not cut off.
        refused(started, Reason::ShuttingDown);
        refused(warmed, Reason::ShuttingDown);
        drop(client);
        let ended = daemon.gone().await;
        assert_eq!(ended.how, "code 0");
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn a_start_that_waits_for_a_failed_template_does_not_hold_up_the_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        // Killed again and again, it is not launched anew for 800 ms.
        for _ in 0..4 {
            let template = eventually_async("it is warm", async || {
                let template = client.template(&digest).await;
                let warm = template.state() == TemplateState::Warm;
                (warm && lives(template.zygote_pid)).then_some(template)
            })
            .await;
            process::kill(template.zygote_pid);
        }
        eventually_async("that is noticed", async || {
            let state = client.template(&digest).await.state();
            (state == TemplateState::Backoff).then_some(())
        })
        .await;
        let start = client.try_run(function(&digest, "value", ()));
        let end = async {
            eventually_async("the start waits", async || {
                (client.in_use("waiting_starts").await == 1).then_some(())
            })
            .await;
            daemon.signal(Signal::TERM);
        };
        let (started, ()) = tokio::join!(start, end);
        refused(started, Reason::ShuttingDown);
        drop(client);
        assert_eq!(daemon.gone().await, in_order());
    });
}

#[test]
fn what_left_its_workers_group_neither_ends_nor_holds_up_the_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let (mut run, line) = client
            .run_until_line(shell("setsid sh -c 'echo $$; exec sleep 600' & wait"))
            .await;
        let stranger: i32 = line.parse().unwrap();
        shutdown(&client, None).await;
        run.exit().await;
        drop((run, client));
        eventually_async("mpforkd ends", async || {
            (!lives(daemon.pid())).then_some(())
        })
        .await;
        assert!(lives(stranger));
        process::kill(stranger);
        let ended = daemon.ended();
        assert_eq!(ended.how, "code 0");
        assert_eq!(ended.inherited.len(), 1, "{ended:?}");
    });
}

#[test]
fn a_client_that_does_not_hang_up_is_hung_up_on() {
    check(Setup::new(), async |daemon| {
        let idle = std::os::unix::net::UnixStream::connect(daemon.socket()).unwrap();
        let client = daemon.connect().await;
        shutdown(&client, None).await;
        assert_eq!(daemon.gone().await, in_order());
        client.connection.closed().await;
        drop(idle);
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = ShutdownRequest {
            grace: Some(prost_types::Duration {
                seconds: -1,
                nanos: 0,
            }),
        };
        refused_field(client.admin().shutdown(request).await, "grace");
        assert!(!client.status().await.shutting_down);
    });
}
