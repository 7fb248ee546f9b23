//! What starts cost, in time and in memory, beside spawning: measured, told, and what to do about it.
#![allow(clippy::unwrap_used)]

use mpfork_proto::v1::events_client::EventsClient;
use mpfork_proto::v1::watch_events_response::What;
use mpfork_proto::v1::{Event, EventKind, WatchEventsRequest};
use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, eventually_async};
use serde_json::Value;
use std::process::{Command, Stdio};

/// What `mpctl` prints.
fn mpctl(daemon: &Daemon, args: &[&str]) -> String {
    let mut mpctl = Command::new(program("mpctl-under-test"));
    mpctl.arg("--socket").arg(daemon.socket()).args(args);
    let output = mpctl.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn mpctl_json(daemon: &Daemon, args: &[&str]) -> Value {
    serde_json::from_str(&mpctl(daemon, &[&["--json"], args].concat())).unwrap()
}

async fn started(client: &TestClient, digest: &str, count: usize) {
    for _ in 0..count {
        let exit = client.exit_of(function(digest, "value", ())).await;
        assert_eq!(exit.exitcode(), 0);
    }
}

/// The events that tell of dear forks so far.
async fn dear(client: &TestClient) -> Vec<Event> {
    let request = WatchEventsRequest {
        after_sequence: Some(0),
        remembered_only: true,
        kinds: vec![EventKind::TemplateDear.into()],
        ..WatchEventsRequest::default()
    };
    let mut rpc = EventsClient::new(client.channel.clone());
    let mut news = rpc.watch_events(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(message) = news.message().await.unwrap() {
        if let Some(What::Event(event)) = message.what {
            events.push(event);
        }
    }
    events
}

#[test]
fn forks_that_take_longer_than_a_launch_are_told_once_with_what_to_do() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "dear")]).await;
        started(&client, &digest, 3).await;
        assert_eq!(dear(&client).await, [], "one may have been slow by chance");
        started(&client, &digest, 3).await;
        let events = dear(&client).await;
        assert_eq!(events.len(), 1, "{events:?}");
        let template = client.template(&digest).await;
        let event = &events[0];
        assert_eq!(event.zygote_pid, template.zygote_pid);
        for said in [&event.message, &template.advice] {
            assert!(said.starts_with("a fork takes "), "{said}");
            assert!(said.contains("spawn would be cheaper"), "{said}");
        }
        let warned = |log: String| log.matches("spawn would be cheaper").count();
        assert_eq!(warned(daemon.log()), 1);
        let shown = mpctl(daemon, &["template", "show", &digest]);
        assert!(shown.contains("\nadvice          a fork takes "), "{shown}");
        let status = mpctl(daemon, &["status"]);
        assert!(status.contains("\n  advice: a fork takes "), "{status}");
        let status = mpctl_json(daemon, &["status"]);
        let templates = status["templates"].as_array().unwrap();
        let told = templates
            .iter()
            .filter(|template| template["advice"].is_string());
        assert_eq!(told.count(), 1);
        // Once of each zygote.
        client.reload(&digest).await.unwrap();
        assert_eq!(client.template(&digest).await.advice, "");
        started(&client, &digest, 5).await;
        assert_eq!(dear(&client).await.len(), 2);
    });
}

#[test]
fn of_others_nothing_is_said() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let heavy = client.test_template(&[("TEST_FAULT", "heavy")]).await;
        started(&client, &heavy, 8).await;
        let template = client.template(&heavy).await;
        assert!(template.fork_time.is_some());
        assert_eq!(template.advice, "");
        assert_eq!(dear(&client).await, []);
    });
}

#[test]
fn what_workers_save_is_told_while_they_run() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "heavy")]).await;
        client.warm(&digest).await.unwrap();
        assert_eq!(client.template(&digest).await.saving, None);
        assert!(!mpctl(daemon, &["status"]).contains("SAVED"));
        const HEAVY: u64 = 100_000_000;
        let mut runs = Vec::new();
        for _ in 0..3 {
            let (run, _) = client.run_until_line(function(&digest, "hang", ())).await;
            runs.push(run);
        }
        let saving = eventually_async("it is sampled", async || {
            client.template(&digest).await.saving
        })
        .await;
        // Some may have been started later.
        let workers = u64::from(saving.workers);
        assert!((1..=3).contains(&workers), "{saving:?}");
        assert_eq!(saving.workers_read, saving.workers);
        assert!(saving.sampled.is_some());
        assert!(saving.spawned_bytes >= workers * HEAVY, "{saving:?}");
        assert!(saving.spawned_bytes < workers * HEAVY * 2, "{saving:?}");
        // What is shared is there once; spares have their share of it.
        assert!(saving.taken_bytes < HEAVY * 2, "{saving:?}");

        let shown = mpctl(daemon, &["template", "show", &digest]);
        assert!(shown.contains("\nsaved           "), "{shown}");
        let status = mpctl(daemon, &["status"]);
        let line = status.lines().find(|line| line.starts_with("SAVED    "));
        assert!(line.unwrap().contains(" if spawned, "), "{status}");
        let all = mpctl_json(daemon, &["status"])["saving"].clone();
        let bytes = |name: &str| all[name].as_i64().unwrap();
        assert_eq!(
            bytes("saved_bytes"),
            bytes("spawned_bytes") - bytes("taken_bytes")
        );

        let rows = mpctl_json(daemon, &["ps", "--memory"]);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 3);
        for row in rows {
            let bytes = |name: &str| row[name].as_u64().unwrap();
            assert!(bytes("private_bytes") > 0 && bytes("private_bytes") <= bytes("pss_bytes"));
            assert!(bytes("pss_bytes") < bytes("rss_bytes") && bytes("rss_bytes") > HEAVY);
        }
        let unread = mpctl_json(daemon, &["ps"]);
        assert!(unread[0].get("rss_bytes").is_none_or(Value::is_null));
        for run in &mut runs {
            client.signal(run.id(), 9, false).await.unwrap();
            run.exit().await;
        }
        assert_eq!(client.template(&digest).await.saving, None);
    });
}

#[test]
fn workers_that_share_little_save_nothing() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        // It has executed another program: it shares nothing.
        let (mut run, _) = client.run_until_line(shell("echo; exec sleep 600")).await;
        let saving = eventually_async("it is sampled", async || {
            client.template("command").await.saving
        })
        .await;
        assert!(saving.taken_bytes > saving.spawned_bytes, "{saving:?}");
        let status = mpctl(daemon, &["status"]);
        assert!(
            status.contains("\nSAVED    nothing yet: 1 worker "),
            "{status}"
        );
        client.signal(run.id(), 9, true).await.unwrap();
        run.exit().await;
    });
}
