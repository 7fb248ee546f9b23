//! Spares that die, or do not answer, when they are assigned.

use super::{ALWAYS, COUNT, gone, spares, stop, with_spares};
use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::process::{self, Seen};
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Setup, check, eventually_async};

#[test]
fn one_that_died_is_replaced_unseen() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        for round in 0..5 {
            for spare in spares(&client, &digest, COUNT).await {
                process::kill(spare.pid);
            }
            for _ in 0..4 {
                let exit = client.exit_of(function(&digest, "value", ())).await;
                assert_eq!(exit.exitcode(), 0, "round {round}");
            }
        }
        let template = client.template(&digest).await;
        assert_eq!(template.workers_started, 20);
        assert_eq!(template.workers_failed, 0);
    });
}

#[test]
fn one_that_does_not_answer_is_replaced_unseen_and_never_begins() {
    let setup = Setup::new()
        .config(ALWAYS)
        .config("[timeouts]\nfork = \"1s\"");
    check(setup, async |daemon| {
        let (client, digest, stopped) = with_spares(daemon).await;
        stop(&stopped);
        let count = daemon.path("count");
        let append = |text: &str| format!("echo {text} >> {}", count.display());
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Fork);
        assert!(stopped.iter().all(|spare| spare.pid != run.pid()));
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        // Nor does one of commands, which would leave a trace.
        client.exit_of(shell("true")).await;
        let commands = spares(&client, "command", COUNT).await;
        stop(&commands);
        let exit = client.exit_of(shell(&append("once"))).await;
        assert!(exit.success());
        for spare in stopped.iter().chain(&commands) {
            if process::lives(spare.pid) {
                process::resume(spare.pid);
            }
        }
        assert!(client.exit_of(shell(&append("twice"))).await.success());
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "once\ntwice\n");
        let failed = client.status().await.workers.unwrap().failed;
        assert_eq!(failed, 0);
    });
}

#[test]
fn one_that_does_not_answer_takes_no_second_place() {
    let setup = Setup::new()
        .config(ALWAYS)
        .config("[timeouts]\nfork = \"500ms\"\n[limits]\nworkers = 1");
    check(setup, async |daemon| {
        let (client, digest, waiting) = with_spares(daemon).await;
        stop(&waiting);
        let exit = client.exit_of(function(&digest, "value", ())).await;
        assert_eq!(exit.exitcode(), 0);
    });
}

#[test]
fn one_that_dies_with_its_zygote_when_it_was_just_assigned_gives_its_place_back() {
    let setup = Setup::new().config(ALWAYS).config("[limits]\nworkers = 1");
    check(setup, async |daemon| {
        let (client, digest, waiting) = with_spares(daemon).await;
        stop(&waiting);
        let zygote = client.template(&digest).await.zygote_pid;
        let starts = client.exit_of(function(&digest, "value", ()));
        let dies = async {
            eventually_async("one is assigned", async || {
                (client.in_use("workers").await == 1).then_some(())
            })
            .await;
            // They get HUP then, as stopped processes that nobody of their session could resume.
            process::kill(zygote);
        };
        let (exit, ()) = tokio::join!(starts, dies);
        assert_eq!(exit.exitcode(), 0);
        eventually_async("nothing takes a place", async || {
            (client.in_use("workers").await == 0).then_some(())
        })
        .await;
        assert_eq!(client.template(&digest).await.workers_running, 0);
    });
}

#[test]
fn a_zygote_that_forks_none_any_more_is_given_up() {
    let setup = Setup::new()
        .config(ALWAYS)
        .config("[timeouts]\nfork = \"500ms\"");
    check(setup, async |daemon| {
        let (client, digest, _) = with_spares(daemon).await;
        process::stop(client.template(&digest).await.zygote_pid);
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Spare);
        client.signal(run.id(), 12, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -12);
    });
}

#[test]
fn stopped_ones_are_replaced_before_the_limit_and_none_is_left() {
    // Nobody waits as long as that.
    let setup = Setup::new()
        .config(ALWAYS)
        .config("[timeouts]\nfork = \"1h\"");
    check(setup, async |daemon| {
        let (client, digest, waiting) = with_spares(daemon).await;
        stop(&waiting);
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Fork);
        gone("the stopped ones", &waiting).await;
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        let fresh = spares(&client, &digest, COUNT).await;
        let is_old = |spare: &Seen| waiting.iter().any(|old| old.pid == spare.pid);
        assert!(!fresh.iter().any(is_old));
        assert_eq!(client.template(&digest).await.workers_failed, 0);
    });
}
