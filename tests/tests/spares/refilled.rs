//! When spares are forked, and who gets them.

use super::{ALWAYS, spares};
use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Daemon, Run, Setup, TestClient, check, eventually_async, process};
use std::collections::HashSet;

/// They make forks dear.
const SMALL_PAGES: &str = "[compaction]\nenabled = false\n";

#[test]
fn a_template_that_is_started_often_has_spares_and_they_are_used() {
    used(Setup::new().config(SMALL_PAGES), &[("TEST_FAULT", "heavy")]);
}

#[test]
fn one_whose_forks_are_cheap_has_them_too() {
    used(Setup::new(), &[]);
}

fn used(setup: Setup, preloads: &[(&str, &str)]) {
    // Starts soon after each other are worth more.
    check(setup.config("[spares]\nmax = 1"), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(preloads).await;
        assert_eq!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .exitcode(),
            0
        );
        assert_eq!(
            client.template(&digest).await.spares_idle,
            0,
            "after one start"
        );
        assert_eq!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .exitcode(),
            0
        );
        let waiting = spares(&client, &digest, 1).await;
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Spare);
        assert!(waiting.iter().any(|spare| spare.pid == run.pid()));
        assert_eq!(
            client.get_worker(run.id()).await.unwrap().way(),
            StartWay::Spare
        );
        client.signal(run.id(), 12, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -12);
        let template = client.template(&digest).await;
        let ways: Vec<_> = template.starts_by_way.iter().map(|s| s.way()).collect();
        assert_eq!(ways, [StartWay::Fork, StartWay::Spare]);
        assert_eq!(template.workers_started, 3);
    });
}

#[test]
fn many_clients_at_once_get_workers_of_their_own() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let digest = daemon.connect().await.test_template(&[]).await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (client, digest) = (daemon.connect().await, digest.clone());
            clients.spawn(async move {
                let mut pids = Vec::new();
                for _ in 0..50 {
                    let mut run = client.run(function(&digest, "value", ())).await;
                    pids.push((run.id().counter, run.pid()));
                    assert_eq!(run.exit().await.exitcode(), 0);
                }
                pids
            });
        }
        let all = clients.join_all().await.concat();
        let ids: HashSet<u64> = all.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), 400);
        let client = daemon.connect().await;
        let template = client.template(&digest).await;
        assert_eq!(
            (template.workers_started, template.workers_failed),
            (400, 0)
        );
    });
}

#[test]
fn those_that_can_not_be_forked_leave_nothing_open() {
    let setup = Setup::new().config("[spares]\nmin = 1\n");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "before-fork")]).await;
        client.warm(&digest).await.unwrap();
        let tried = async |times: usize| {
            eventually_async("more were tried", async || {
                let tried = daemon.log().matches("can't fork a spare").count();
                (tried >= times).then_some(())
            })
            .await;
        };
        let open = || process::open_descriptors(daemon.pid());
        tried(1).await;
        let few = open();
        tried(4).await;
        // It may be reading some file of its own just now.
        eventually_async("none is left", async || (open() <= few).then_some(())).await;
    });
}

#[test]
fn a_template_with_few_descriptors_has_spares_too() {
    let program = mpfork_tests::harness::programs::test_program();
    let config = format!(
        "[templates.few]\nprogram = \"{}\"\nwarm = true\nspares = {{ min = 16, max = 16 }}\n[templates.few.rlimits]\nnofile = 14\n",
        program.display()
    );
    check(Setup::new().config(&config), async |daemon| {
        let client = daemon.connect().await;
        client.warm("few").await.unwrap();
        let zygote = client.template("few").await.zygote_pid;
        spares(&client, "few", 16).await;
        assert_eq!(client.template("few").await.zygote_pid, zygote);
    });
}

/// A zygote that is stopped when it is to fork the one spare there may be: the client, its template, and a
/// worker that took the spare before.
async fn stopped_in_a_refill(daemon: &Daemon) -> (TestClient, String, Run) {
    let client = daemon.connect().await;
    let digest = client.test_template(&[]).await;
    client.warm(&digest).await.unwrap();
    spares(&client, &digest, 1).await;
    process::stop(client.template(&digest).await.zygote_pid);
    let (run, _) = client.run_until_line(function(&digest, "hang", ())).await;
    assert_eq!(run.started.way(), StartWay::Spare);
    eventually_async("the next one is asked for", async || {
        (client.in_use("spares").await == 1).then_some(())
    })
    .await;
    (client, digest, run)
}

#[test]
fn a_start_that_finds_none_takes_the_one_that_is_being_forked() {
    let setup = Setup::new().config("[spares]\nmin = 1\nmax = 1\n");
    check(setup, async |daemon| {
        let (client, digest, mut first) = stopped_in_a_refill(daemon).await;
        let zygote = client.template(&digest).await.zygote_pid;
        let starts = client.run_until_line(function(&digest, "hang", ()));
        let goes_on = async {
            eventually_async("it is nobody's spare any more", async || {
                (client.in_use("spares").await == 0).then_some(())
            })
            .await;
            assert_eq!(client.template(&digest).await.spares_idle, 0);
            process::resume(zygote);
        };
        let ((mut second, _), ()) = tokio::join!(starts, goes_on);
        assert_eq!(
            second.started.way(),
            StartWay::Fork,
            "it had to be waited for"
        );
        // The next one is there only now that nobody waits.
        eventually_async("there is another", async || {
            (client.template(&digest).await.spares_idle == 1).then_some(())
        })
        .await;
        assert_eq!(process::children(zygote).len(), 3);
        for run in [&mut first, &mut second] {
            client.signal(run.id(), 9, false).await.unwrap();
            assert_eq!(run.exit().await.exitcode(), -9);
        }
    });
}

/// Whether this process was forked before that one; numbers begin anew some time.
fn is_older(this: i32, that: i32) -> bool {
    let most = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    let most: i32 = most.trim().parse().unwrap();
    (that - this).rem_euclid(most) < most / 2
}

#[test]
fn a_start_that_takes_the_one_being_forked_does_not_wait_for_those_that_came_later() {
    let setup = Setup::new().config("[spares]\nmin = 1\nmax = 1\n");
    check(setup, async |daemon| {
        let (client, digest, first) = stopped_in_a_refill(daemon).await;
        let zygote = client.template(&digest).await.zygote_pid;
        let in_use = async |name: &str, count| {
            eventually_async("it has begun", async || {
                (client.in_use(name).await == count).then_some(())
            })
            .await;
        };
        let taker = client.run_until_line(function(&digest, "hang", ()));
        let later = async {
            in_use("spares", 0).await;
            let start = || client.run_until_line(function(&digest, "hang", ()));
            let starts = async { tokio::join!(start(), start(), start()) };
            let goes_on = async {
                in_use("workers", 5).await;
                client.status().await;
                process::resume(zygote);
            };
            tokio::join!(starts, goes_on).0
        };
        let ((taker, _), ((a, _), (b, _), (c, _))) = tokio::join!(taker, later);
        for later in [&a, &b, &c] {
            assert!(is_older(taker.pid(), later.pid()), "{}", later.pid());
        }
        for mut run in [first, taker, a, b, c] {
            client.signal(run.id(), 9, false).await.unwrap();
            assert_eq!(run.exit().await.exitcode(), -9);
        }
    });
}

#[test]
fn a_start_whose_spare_is_not_forked_any_more_gets_a_worker_of_the_next_zygote() {
    let setup = Setup::new().config("[spares]\nmin = 1\nmax = 1\n");
    check(setup, async |daemon| {
        let (client, digest, mut first) = stopped_in_a_refill(daemon).await;
        let zygote = client.template(&digest).await.zygote_pid;
        let starts = client.exit_of(function(&digest, "value", ()));
        let leaves = async {
            eventually_async("it is nobody's spare any more", async || {
                (client.in_use("spares").await == 0).then_some(())
            })
            .await;
            let reloaded = client.reload(&digest).await.unwrap();
            assert_ne!(reloaded.zygote_pid, zygote);
            process::resume(zygote);
        };
        let (exit, ()) = tokio::join!(starts, leaves);
        assert_eq!(exit.exitcode(), 0);
        client.signal(first.id(), 9, false).await.unwrap();
        assert_eq!(first.exit().await.exitcode(), -9);
        assert_eq!(client.template(&digest).await.workers_failed, 0);
    });
}

#[test]
fn one_start_after_another_finds_a_spare_each_time() {
    check(Setup::new().config(SMALL_PAGES), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "heavy")]).await;
        const STARTS: u64 = 60;
        for _ in 0..STARTS {
            let exit = client.exit_of(function(&digest, "value", ())).await;
            assert_eq!(exit.exitcode(), 0);
        }
        let template = client.template(&digest).await;
        let by = |way: StartWay| {
            let mut ways = template.starts_by_way.iter();
            let found = ways.find(|starts| starts.way() == way);
            found.map_or(0, |starts| starts.latency.unwrap().count)
        };
        assert_eq!(by(StartWay::Spare) + by(StartWay::Fork), STARTS);
        // Of those that found none most come before it was known that they come often.
        assert!(
            by(StartWay::Spare) > STARTS / 2,
            "{:?}",
            template.starts_by_way
        );
    });
}
