//! Spares that are not needed any more, or for which there is no room.

use super::{ALWAYS, COUNT, NEVER, gone, spares, stop, with_spares};
use mpfork_proto::v1::DrainRequest;
use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Daemon, Setup, check, eventually_async, process};

#[test]
fn they_leave_with_their_zygote() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (client, digest, before) = with_spares(daemon).await;
        client.reload(&digest).await.unwrap();
        gone("those of the old zygote", &before).await;

        let before = spares(&client, &digest, COUNT).await;
        let strangers = |log: String| log.matches("reaped a stranger").count();
        process::kill(client.template(&digest).await.zygote_pid);
        gone("those of the killed zygote", &before).await;
        assert_eq!(strangers(daemon.log()), 0);

        client.exit_of(function(&digest, "value", ())).await;
        let before = spares(&client, &digest, COUNT).await;
        client.remove(&digest).await.unwrap();
        gone("those of the removed template", &before).await;
    });
}

#[test]
fn they_end_when_mpforkd_is_killed() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("true")).await;
        spares(&client, "command", COUNT).await;
        let ended = daemon.kill();
        assert!(ended.left.is_empty(), "{ended:?}");
    });
}

#[test]
fn there_are_no_more_than_the_limit_and_none_without_room() {
    let setup = Setup::new().config("[limits]\nspares = 3\n").config(ALWAYS);
    check(setup, async |daemon: &Daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let all = spares(&client, &digest, 3).await;
        assert_eq!(client.in_use("spares").await, 3);
        client.exit_of(shell("true")).await;
        client.exit_of(shell("true")).await;
        assert_eq!(client.template("command").await.spares_idle, 0);
        // The configuration is read again: there may be none.
        let files = async || {
            let limits = client.status().await.limits;
            let files = limits.iter().find(|limit| limit.name == "worker_files");
            files.unwrap().value
        };
        let before = files().await;
        let none = "[limits]\nspares = 0\n";
        std::fs::write(daemon.path("mpforkd.toml"), none).unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        gone("those that may not be", &all).await;
        assert_eq!(files().await, before + 6, "two of each");
        assert_eq!(client.exit_of(shell("true")).await.exitcode(), 0);
        assert_eq!(client.template(&digest).await.spares_idle, 0);
    });
}

#[test]
fn stopped_ones_end_when_they_are_not_needed_any_more() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (_client, _, stopped) = with_spares(daemon).await;
        stop(&stopped);
        std::fs::write(daemon.path("mpforkd.toml"), NEVER).unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        gone("those that may not be", &stopped).await;
    });
}

/// Has the configuration read again.
async fn reconfigure(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.path("mpforkd.toml"), text).unwrap();
    daemon.signal(rustix::process::Signal::HUP);
}

#[test]
fn they_stay_away_while_memory_is_short() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (client, digest, waiting) = with_spares(daemon).await;
        // No machine has so much.
        let short = format!("{ALWAYS}[limits]\nspares_min_memory = {}\n", i64::MAX);
        reconfigure(daemon, &short).await;
        gone("those that take memory", &waiting).await;
        assert!(daemon.log().contains("memory is short"));
        for _ in 0..3 {
            let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
            assert_eq!(run.started.way(), StartWay::Fork);
            assert_eq!(client.in_use("spares").await, 0);
            client.signal(run.id(), 9, false).await.unwrap();
            run.exit().await;
        }
        // Nor has a zygote any that is launched now.
        client.reload(&digest).await.unwrap();
        client.warm("command").await.unwrap();
        assert_eq!(client.in_use("spares").await, 0);
        reconfigure(daemon, ALWAYS).await;
        spares(&client, &digest, COUNT).await;
        assert!(daemon.log().contains("memory is not short any more"));
    });
}

#[test]
fn they_leave_when_mpforkd_drains_and_come_back_when_that_is_undone() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (client, digest, waiting) = with_spares(daemon).await;
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Spare);
        let drain = DrainRequest::default();
        drop(client.admin().drain(drain).await.unwrap());
        let (took, left): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|spare| spare.pid == run.pid());
        gone("those of a daemon that drains", &left).await;
        eventually_async("none is counted", async || {
            (client.in_use("spares").await == 0).then_some(())
        })
        .await;
        assert!(process::lives(took[0].pid), "it is a worker");
        let undo = DrainRequest {
            undo: true,
            ..DrainRequest::default()
        };
        drop(client.admin().drain(undo).await.unwrap());
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        client.warm(&digest).await.unwrap();
        spares(&client, &digest, COUNT).await;
    });
}

#[test]
fn they_leave_when_the_template_is_configured_otherwise() {
    let program = test_program();
    let config = |value: &str, more: &str| {
        format!(
            "[templates.words]\nprogram = \"{}\"\nenv = {{ TEST_VALUE = \"{value}\" }}\n\
             spares = {{ min = 4 }}\n{more}",
            program.display()
        )
    };
    check(Setup::new().config(&config("old", "")), async |daemon| {
        let client = daemon.connect().await;
        client.warm("words").await.unwrap();
        let before = spares(&client, "words", COUNT).await;
        reconfigure(daemon, &config("new", "")).await;
        gone("those with the former environment", &before).await;
        client.warm("words").await.unwrap();
        let before = spares(&client, "words", COUNT).await;
        // As many as it says now, of the same zygote.
        let fewer = config("new", "").replace("min = 4", "min = 1, max = 1");
        reconfigure(daemon, &fewer).await;
        let left = spares(&client, "words", 1).await;
        assert!(before.iter().any(|spare| spare.pid == left[0].pid));
    });
}
