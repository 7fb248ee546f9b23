//! SIGHUP: the configuration is read again; a file that is wrong changes nothing.

use super::logged;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{DrainRequest, GetStatusResponse, TemplateState};
use mpfork_tests::harness::process::lives;
use mpfork_tests::harness::programs::{slow_to_tell, test_program};
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, eventually_async, refused};
use rustix::process::Signal;

/// A template with the test program and these variables.
fn template(name: &str, env: &str, more: &str) -> String {
    let program = test_program();
    format!("[templates.{name}]\nprogram = {program:?}\nenv = {{ {env} }}\n{more}\n")
}

fn write(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.path("mpforkd.toml"), text).unwrap();
}

fn is_read_again(before: &GetStatusResponse, now: &GetStatusResponse) -> bool {
    let [before, now] = [before, now].map(|status| status.configuration.as_ref().unwrap());
    before.read != now.read
}

/// Writes a file that is fine, and waits until it is in force.
async fn reload(daemon: &Daemon, client: &TestClient, text: &str) -> GetStatusResponse {
    let before = client.status().await;
    write(daemon, text);
    daemon.signal(Signal::HUP);
    eventually_async("the configuration is read again", async || {
        Some(client.status().await).filter(|now| is_read_again(&before, now))
    })
    .await
}

/// Writes a file that is wrong, and waits until that is said.
async fn reload_wrong(daemon: &Daemon, client: &TestClient, text: Option<&str>) -> String {
    let before = client.status().await;
    match text {
        Some(text) => write(daemon, text),
        None => std::fs::remove_file(daemon.path("mpforkd.toml")).unwrap(),
    }
    daemon.signal(Signal::HUP);
    let was = before.configuration.as_ref().unwrap().error.clone();
    let now = eventually_async("the configuration is refused", async || {
        let now = client.status().await;
        (now.configuration.as_ref().unwrap().error != was).then_some(now)
    })
    .await;
    assert!(!is_read_again(&before, &now));
    now.configuration.unwrap().error
}

async fn warm(client: &TestClient, name: &str) -> i32 {
    let what = format!("{name} is warm");
    let warm = eventually_async(&what, async || {
        let template = client.template(name).await;
        (template.state() == TemplateState::Warm).then_some(template)
    });
    warm.await.zygote_pid
}

#[test]
fn templates_come_change_and_go() {
    let same = template("same", "", "warm = true");
    let first = [
        same.clone(),
        template("changed", "TEST_VALUE = \"1\"", ""),
        template("gone", "", ""),
    ];
    check(Setup::new().config(&first.concat()), async |daemon| {
        let client = daemon.connect().await;
        let same_zygote = warm(&client, "same").await;
        client.warm("changed").await.unwrap();
        let old = client.template("changed").await.zygote_pid;
        let hang = || function("changed", "hang", ());
        let (mut of_old, _) = client.run_until_line(hang()).await;
        let (mut of_gone, _) = client.run_until_line(function("gone", "hang", ())).await;
        let gone = client.template("gone").await.zygote_pid;
        let second = [
            same,
            template("changed", "TEST_VALUE = \"2\"", "warm = true"),
            template("new", "", ""),
        ];
        reload(daemon, &client, &second.concat()).await;
        // What was not touched is not touched.
        assert_eq!(client.template("same").await.zygote_pid, same_zygote);
        // The changed one warms by itself now, and has another recipe.
        let new = warm(&client, "changed").await;
        assert_ne!(new, old);
        let (output, _) = client.output_of(function("changed", "value", ())).await;
        drop(output);
        assert!(lives(old), "it has a worker");
        assert!(client.exit_of(function("new", "value", ())).await.success());
        refused(
            client.try_run(function("gone", "value", ())).await,
            Reason::UnknownTemplate,
        );
        assert!(lives(gone), "it has a worker");
        // Their workers go on, and zygotes leave after them.
        for (run, zygote) in [(&mut of_old, old), (&mut of_gone, gone)] {
            client.signal(run.id(), 12, false).await.unwrap();
            assert_eq!(run.exit().await.exitcode(), -12);
            eventually_async("the zygote leaves", async || (!lives(zygote)).then_some(())).await;
        }
        let log = daemon.log();
        assert!(log.contains("added=1 changed=1 removed=1"), "{log}");
    });
}

/// How often the daemon tells its status until something is done.
async fn told_meanwhile<T>(client: &TestClient, done: impl Future<Output = T>) -> (u32, T) {
    let mut told = 0;
    let mut done = std::pin::pin!(done);
    loop {
        tokio::select! {
            biased;
            result = &mut done => return (told, result),
            _ = client.status() => told += 1,
        }
    }
}

#[test]
fn programs_that_take_long_to_read_hold_up_nobody() {
    // Read at some gigabytes a second at best.
    const SIZE: u64 = 1 << 30;
    check(Setup::new().config(""), async |daemon| {
        let (client, other) = (daemon.connect().await, daemon.connect().await);
        let large = daemon.path("large");
        slow_to_tell(&large, SIZE);
        let text = format!("[templates.large]\nprogram = {large:?}\n");
        write(daemon, &text);
        daemon.signal(Signal::HUP);
        eventually_async("reading begins", async || {
            let begun = "SIGHUP: reading the configuration";
            daemon.log().contains(begun).then_some(())
        })
        .await;
        let read = eventually_async("the template is known", async || {
            let templates = other.status().await.templates;
            templates.iter().any(|t| t.name == "large").then_some(())
        });
        let (told, ()) = told_meanwhile(&client, read).await;
        assert!(told > 10, "by a reload: {told}");
        // By a start that finds another program, and by one that is to have it read again.
        slow_to_tell(&large, SIZE + 1);
        let start = other.try_run(function("large", "value", ()));
        let (told, refusal) = told_meanwhile(&client, start).await;
        refused(refusal, Reason::ZygoteFailed);
        assert!(told > 10, "by a start: {told}");
        slow_to_tell(&large, SIZE + 2);
        let (told, refusal) = told_meanwhile(&client, other.reload("large")).await;
        refused(refusal, Reason::ZygoteFailed);
        assert!(told > 10, "by a reload of the template: {told}");
    });
}

#[test]
fn a_changed_template_has_its_new_value() {
    let value = |value: u32| template("words", &format!("TEST_VALUE = \"{value}\""), "");
    check(Setup::new().config(&value(1)), async |daemon| {
        let client = daemon.connect().await;
        let digest = async || client.template("words").await.digest;
        client.warm("words").await.unwrap();
        let before = digest().await;
        reload(daemon, &client, &value(2)).await;
        let after = digest().await;
        assert_ne!(before, after);
        assert_eq!(client.template("words").await.state(), TemplateState::Cold);
        // Back again.
        reload(daemon, &client, &value(1)).await;
        assert_eq!(digest().await, before);
        // Only what is done with it changed: its zygote stays.
        client.warm("words").await.unwrap();
        let zygote = client.template("words").await.zygote_pid;
        reload(daemon, &client, &format!("{}warm = true", value(1))).await;
        assert_eq!(warm(&client, "words").await, zygote);
    });
}

#[test]
fn a_template_that_is_changed_while_it_warms_serves_who_waits_with_the_new_recipe() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let env = format!("TEST_FAULT = \"gate-waits\", TEST_GATE = {gate:?}");
        reload(daemon, &client, &template("words", &env, "")).await;
        let (started, ()) = tokio::join!(client.try_run(function("words", "value", ())), async {
            eventually_async("it waits at the gate", async || {
                let template = client.template("words").await;
                (template.state() == TemplateState::Warming && template.zygote_pid == 0)
                    .then_some(())
            })
            .await;
            reload(daemon, &client, &template("words", "", "")).await;
            // Only now may the first one go on.
            let gate = gate.clone();
            tokio::task::spawn_blocking(move || std::fs::write(gate, ""))
                .await
                .unwrap()
                .unwrap();
        });
        let exit = started.unwrap().exit().await;
        assert!(exit.success());
        let template = client.template("words").await;
        assert_eq!(template.state(), TemplateState::Warm);
        assert_eq!(template.workers_failed, 0);
    });
}

#[test]
fn limits_hold_from_then_on() {
    check(
        Setup::new().config("[limits]\nworkers = 1"),
        async |daemon| {
            let client = daemon.connect().await;
            let (mut one, _) = client.run_until_line(shell("echo x; exec sleep 600")).await;
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
            assert_eq!(problem.get("limit"), "limits.workers");
            let status = reload(daemon, &client, "[limits]\nworkers = 2\nretained_exits = 3").await;
            let limit = status.limits.iter().find(|limit| limit.name == "workers");
            assert_eq!(limit.unwrap().value, 2);
            for _ in 0..5 {
                assert!(client.exit_of(shell("exit 0")).await.success());
            }
            assert_eq!(
                client.list_workers(true).await.len(),
                4,
                "one runs, three are remembered"
            );
            let (mut two, _) = client.run_until_line(shell("echo x; exec sleep 600")).await;
            // What is over a lowered limit goes on.
            reload(
                daemon,
                &client,
                "[limits]\nworkers = 1\ntemplates = 1\nconnections = 1",
            )
            .await;
            refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
            let problem = refused(
                TestClient::try_connect(daemon.socket()).await,
                Reason::LimitReached,
            );
            assert_eq!(problem.get("limit"), "limits.connections");
            let program = test_program();
            let spec = mpfork_tests::harness::template(&program, &[]);
            refused(
                client.try_register(&program, spec).await,
                Reason::LimitReached,
            );
            for run in [&mut one, &mut two] {
                assert!(lives(run.pid()));
                client.signal(run.id(), 9, false).await.unwrap();
                run.exit().await;
            }
        },
    );
}

#[test]
fn what_spares_may_take_workers_may_not() {
    let spares = |count: u32| format!("[limits]\nspares = {count}");
    check(Setup::new().config(&spares(8)), async |daemon| {
        let client = daemon.connect().await;
        let files = |status: &GetStatusResponse| {
            let mut limits = status.limits.iter();
            limits.find(|l| l.name == "worker_files").unwrap().value
        };
        let before = files(&client.status().await);
        let more = reload(daemon, &client, &spares(20)).await;
        assert_eq!(files(&more), before - 2 * 12);
        let none = reload(daemon, &client, &spares(0)).await;
        assert_eq!(files(&none), before + 2 * 8);
    });
}

#[test]
fn what_is_remembered_over_a_lowered_limit_is_forgotten_at_once() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut ended = Vec::new();
        for _ in 0..4 {
            let mut run = client.run(shell("echo 12345")).await;
            run.exit().await;
            ended.push(run.id());
        }
        assert_eq!(client.in_use("kept_output_total").await, 4 * 6);
        reload(daemon, &client, "[limits]\nretained_exits = 2").await;
        let listed = client.list_workers(true).await;
        let listed: Vec<_> = listed.iter().filter_map(|worker| worker.worker).collect();
        assert_eq!(listed, ended[2..]);
        refused(client.wait(Some(ended[0])).await, Reason::UnknownWorker);
        assert_eq!(client.in_use("kept_output_total").await, 2 * 6);
        reload(
            daemon,
            &client,
            "[limits]\nkept_output = 6\nkept_output_total = 6",
        )
        .await;
        assert_eq!(client.in_use("kept_output_total").await, 6);
    });
}

#[test]
fn while_draining_nothing_is_warmed_until_that_is_undone() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let drain = async |undo| {
            let request = DrainRequest {
                undo,
                ..DrainRequest::default()
            };
            let mut news = client.admin().drain(request).await.unwrap().into_inner();
            while news.message().await.unwrap().is_some() {}
        };
        drain(false).await;
        reload(daemon, &client, &template("words", "", "warm = true")).await;
        // A start that is refused comes after what was begun by the reload.
        refused(client.warm("words").await, Reason::Draining);
        let log = daemon.log();
        assert!(!log.contains("can't warm a template"), "{log}");
        drain(true).await;
        warm(&client, "words").await;
    });
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_is_told() {
    let fine = format!(
        "{}[limits]\nworkers = 7\n",
        template("words", "", "warm = true")
    );
    let setup = Setup::new().config(&fine);
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let zygote = warm(&client, "words").await;
        let missing = "[limits]\nworkers = 8\n[templates.other]\nprogram = \"/nowhere/at/all\"";
        for (text, expected) in [
            (Some("[limits]\nworkres = 8"), "workres"),
            (Some("[limits]\nworkers = 0"), "limits.workers"),
            (Some("= "), "line 1"),
            (Some(missing), "/nowhere/at/all"),
            (None, "mpforkd.toml"),
        ] {
            let error = reload_wrong(daemon, &client, text).await;
            assert!(error.contains(expected), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            logged(daemon, "the configuration is not reloaded").await;
            let status = client.status().await;
            let limit = status.limits.iter().find(|limit| limit.name == "workers");
            assert_eq!(limit.unwrap().value, 7);
            assert_eq!(client.template("words").await.zygote_pid, zygote);
            refused(client.warm("other").await, Reason::UnknownTemplate);
        }
        // A right one makes it well again.
        let status = reload(daemon, &client, &fine).await;
        assert_eq!(status.configuration.unwrap().error, "");
        assert_eq!(client.template("words").await.zygote_pid, zygote);
    });
}

#[test]
fn what_only_a_restart_applies_is_said() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let text = "socket = \"/run/elsewhere.sock\"\n[log]\nformat = \"json\"\n\
                    [metrics]\nlisten = \"127.0.0.1:0\"\n[limits]\nworkers = 5";
        let status = reload(daemon, &client, text).await;
        let configuration = status.configuration.unwrap();
        assert_eq!(configuration.pending, ["socket", "log", "metrics"]);
        assert_eq!(configuration.error, "");
        let limit = status.limits.iter().find(|limit| limit.name == "workers");
        assert_eq!(limit.unwrap().value, 5, "the rest is applied");
        let log = logged(daemon, "another metrics: a restart applies it").await;
        assert!(!log.contains("metrics are served"), "{log}");
        let status = reload(daemon, &client, "").await;
        assert!(status.configuration.unwrap().pending.is_empty());
    });
}
