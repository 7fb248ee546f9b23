//! Spares: workers forked ahead of their starts, which nobody can tell from others.
#![allow(clippy::unwrap_used)]

use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::process::{self, Seen};
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, eventually_async};
use std::collections::HashSet;

const ALWAYS: &str = "[spares]\nmin = 4\n";
const NEVER: &str = "[limits]\nspares = 0\n";

/// Waits until so many wait for an assignment; their processes.
async fn spares(client: &TestClient, template: &str, count: usize) -> Vec<Seen> {
    eventually_async("there are spares", async || {
        let template = client.template(template).await;
        let children = process::children(template.zygote_pid);
        let idle = usize::try_from(template.spares_idle).unwrap();
        (idle == count && children.len() == count).then_some(children)
    })
    .await
}

async fn gone(what: &str, spares: &[Seen]) {
    eventually_async(what, async || {
        let lives = spares.iter().any(|spare| process::lives(spare.pid));
        (!lives).then_some(())
    })
    .await;
}

#[test]
fn a_template_that_is_started_often_has_spares_and_they_are_used() {
    // Small pages make forks of it dear.
    check(
        Setup::new().config("[compaction]\nenabled = false\n"),
        async |daemon| {
            let client = daemon.connect().await;
            let digest = client.test_template(&[("TEST_FAULT", "heavy")]).await;
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
        },
    );
}

/// What a shell sees of the state it was started with.
const STATE: &str = "pwd; umask; ulimit -Sa; ulimit -Ha; env | sort; nice; \
    grep -E '^(Sig[BIC]|Shd|Cpus_allowed_list|NoNewPrivs|Threads|Uid|Gid)' /proc/self/status; \
    cat /proc/self/oom_score_adj /proc/self/cgroup; ls -l /proc/self/fd | sed 's/.*[0-9] \\([0-9]* ->\\)/\\1/' | grep -vE 'pipe|/proc/'";

#[test]
fn what_a_spare_starts_with_is_what_a_fork_starts_with() {
    let mut seen = Vec::new();
    for config in [ALWAYS, NEVER] {
        check(Setup::new().config(config), async |daemon| {
            let client = daemon.connect().await;
            client.exit_of(shell("true")).await;
            let way = if config == ALWAYS {
                spares(&client, "command", 4).await;
                StartWay::Spare
            } else {
                StartWay::Fork
            };
            let (mut run, _) = client.run_until_line(shell("echo; read x")).await;
            assert_eq!(run.started.way(), way);
            client.signal(run.id(), 9, true).await.unwrap();
            run.exit().await;
            let (output, exit) = client.output_of(shell(STATE)).await;
            assert!(exit.success(), "{exit}: {output}");
            seen.push(output);
        });
    }
    assert!(seen[0].lines().count() > 30, "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn one_that_died_is_replaced_unseen() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        for round in 0..5 {
            for spare in spares(&client, &digest, 4).await {
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
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let stopped = spares(&client, &digest, 4).await;
        for spare in &stopped {
            process::stop(spare.pid);
        }
        let count = daemon.path("count");
        let append = |text: &str| format!("echo {text} >> {}", count.display());
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Fork);
        assert!(stopped.iter().all(|spare| spare.pid != run.pid()));
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        // Nor does one of commands, which would leave a trace.
        client.exit_of(shell("true")).await;
        let commands = spares(&client, "command", 4).await;
        for spare in &commands {
            process::stop(spare.pid);
        }
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
fn they_leave_with_their_zygote() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let before = spares(&client, &digest, 4).await;
        client.reload(&digest).await.unwrap();
        gone("those of the old zygote", &before).await;

        let before = spares(&client, &digest, 4).await;
        let strangers = |log: String| log.matches("reaped a stranger").count();
        process::kill(client.template(&digest).await.zygote_pid);
        gone("those of the killed zygote", &before).await;
        assert_eq!(strangers(daemon.log()), 0);

        client.exit_of(function(&digest, "value", ())).await;
        let before = spares(&client, &digest, 4).await;
        client.remove(&digest).await.unwrap();
        gone("those of the removed template", &before).await;
    });
}

#[test]
fn they_end_when_mpforkd_is_killed() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("true")).await;
        spares(&client, "command", 4).await;
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
fn one_that_does_not_answer_takes_no_second_place() {
    let setup = Setup::new()
        .config(ALWAYS)
        .config("[timeouts]\nfork = \"500ms\"\n[limits]\nworkers = 1");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        for spare in spares(&client, &digest, 4).await {
            process::stop(spare.pid);
        }
        let exit = client.exit_of(function(&digest, "value", ())).await;
        assert_eq!(exit.exitcode(), 0);
    });
}

#[test]
fn one_that_dies_with_its_zygote_when_it_was_just_assigned_gives_its_place_back() {
    let setup = Setup::new().config(ALWAYS).config("[limits]\nworkers = 1");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        for spare in spares(&client, &digest, 4).await {
            process::stop(spare.pid);
        }
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
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        spares(&client, &digest, 4).await;
        process::stop(client.template(&digest).await.zygote_pid);
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(run.started.way(), StartWay::Spare);
        client.signal(run.id(), 12, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -12);
    });
}

#[test]
fn stopped_ones_end_when_they_are_not_needed_any_more() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let stopped = spares(&client, &digest, 4).await;
        for spare in &stopped {
            process::stop(spare.pid);
        }
        std::fs::write(daemon.path("mpforkd.toml"), NEVER).unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        gone("those that may not be", &stopped).await;
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
