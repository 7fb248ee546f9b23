//! A zygote dies: its workers go on, and it is warmed again.

use super::{FEATURES, obedient, when};
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{Signaled, TemplateState, WorkerSpec, exit};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{Setup, check, eventually, eventually_async, refused};
use std::time::{Duration, Instant};

/// The zygote is killed while workers run: they go on, and their ends arrive.
fn orphaned_workers(setup: Setup) {
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let mut runs = Vec::new();
        for code in [0, 7, 255] {
            runs.push(obedient(&client, code).await);
        }
        let (mut holder, line) = client
            .run_until_line(shell(
                "trap 'exit 9' USR1; sleep 604 >/dev/null 2>&1 & echo $!; while :; do sleep 0.01; done",
            ))
            .await;
        let before = client.template("command").await.zygote_pid;
        process::kill(before);
        for run in &runs {
            eventually("mpforkd adopts it", || {
                (process::see(run.pid())?.parent == daemon.pid()).then_some(())
            });
        }
        // Warm again by itself, with the reason of the failure kept.
        let template = eventually_async("another zygote is warm", async || {
            let template = client.template("command").await;
            let warm = template.state() == TemplateState::Warm;
            (warm && template.zygote_pid != before).then_some(template)
        })
        .await;
        assert!(template.last_error.contains("SIGKILL"), "{template:?}");
        for (run, code) in runs.iter_mut().zip([0, 7, 255]) {
            assert_eq!(client.get_worker(run.id()).await.unwrap().exit, None);
            assert!(client.signal(run.id(), 10, false).await.unwrap());
            let exit = run.exit().await;
            assert_eq!(exit.how, Some(exit::How::Code(code)));
            assert!(exit.rusage.is_some(), "mpforkd is its parent: {exit:?}");
        }
        client.signal(holder.id(), 10, false).await.unwrap();
        let exit = holder.exit().await;
        assert_eq!((exit.exitcode(), exit.leftovers.len()), (9, 1), "{exit:?}");
        let left: i32 = line.parse().unwrap();
        eventually("it is gone", || (!lives(left)).then_some(()));
        assert_eq!(client.exit_of(shell("exit 3")).await.exitcode(), 3);
    });
}

#[test]
fn workers_survive_their_zygote() {
    orphaned_workers(Setup::new());
}

#[test]
fn workers_survive_their_zygote_without_any_feature() {
    let without = |setup: Setup, feature: &&str| setup.without_feature(feature);
    orphaned_workers(FEATURES.iter().fold(Setup::new(), without));
}

#[test]
fn signals_and_time_limits_reach_workers_without_a_zygote() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut signalled = obedient(&client, 1).await;
        let limited = WorkerSpec {
            time_limit: spec::millis(700),
            ..command(&["sleep", "600"])
        };
        let mut limited = client.run(limited).await;
        process::kill(client.template("command").await.zygote_pid);
        client.signal(signalled.id(), 9, true).await.unwrap();
        assert_eq!(
            signalled.exit().await.how,
            Some(exit::How::Signaled(Signaled {
                signal: 9,
                core_dumped: false
            }))
        );
        let exit = limited.exit().await;
        assert!(matches!(exit.how, Some(exit::How::TimedOut(_))), "{exit}");
    });
}

#[test]
fn a_zygote_that_dies_again_and_again_is_failed_with_the_reason() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let begun = Instant::now();
        let mut crashes = 0;
        let template = eventually_async("it is failed", async || {
            let template = client.template(&digest).await;
            match template.state() {
                TemplateState::Failed => return Some(template),
                TemplateState::Warm if lives(template.zygote_pid) => {
                    process::kill(template.zygote_pid);
                    crashes += 1;
                }
                _ => {}
            }
            None
        })
        .await;
        assert_eq!(crashes, 5);
        // 100, 200, 400 and 800 ms.
        assert!(begun.elapsed() >= Duration::from_millis(1500));
        assert!(template.last_error.contains("SIGKILL"), "{template:?}");
        let problem = refused(
            client.try_run(function(&digest, "value", ())).await,
            Reason::ZygoteFailed,
        );
        assert_eq!(problem.message, template.last_error);
        // A reload by hand is how it comes back.
        client.reload(&digest).await.unwrap();
        let exit = client.exit_of(function(&digest, "value", ())).await;
        assert!(exit.success());
    });
}

/// One that is dead, and whose end has not been seen yet, is not tried again and again.
#[test]
fn a_start_that_meets_a_dead_zygote_waits_for_the_next() {
    const CLIENTS: usize = 8;
    check(Setup::new(), async |daemon| {
        let watcher = daemon.connect().await;
        watcher.warm("command").await.unwrap();
        let local = tokio::task::LocalSet::new();
        let over = std::rc::Rc::new(std::cell::Cell::new(false));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let (client, over) = (daemon.connect().await, over.clone());
            clients.push(local.spawn_local(async move {
                let mut refused = Vec::new();
                while !over.get() {
                    let starts = (0..8).map(|_| client.try_run(shell("exit 5")));
                    for started in futures_util::future::join_all(starts).await {
                        match started {
                            Ok(mut run) => assert_eq!(run.exit().await.exitcode(), 5),
                            Err(status) => refused.push(status),
                        }
                    }
                }
                refused
            }));
        }
        // More would be a failed template.
        let crash = async {
            for started in [200, 600, 1000, 1400] {
                let zygote = eventually_async("more have started", async || {
                    let totals = watcher.status().await.workers.unwrap();
                    let template = watcher.template("command").await;
                    let is_warm = template.state() == TemplateState::Warm;
                    (is_warm && totals.started >= started).then_some(template.zygote_pid)
                })
                .await;
                process::kill(zygote);
            }
            over.set(true);
        };
        local.run_until(crash).await;
        for client in clients {
            for status in local.run_until(client).await.unwrap() {
                let problem = mpfork_proto::problem::Problem::from_status(&status).unwrap();
                // It ran, and nobody saw its start.
                assert_eq!(problem.reason, Reason::WorkerLost, "{problem:?}");
            }
        }
    });
}

#[test]
fn a_zygote_killed_amid_many_starts_leaves_nothing_half_started() {
    const STARTS: usize = 400;
    check(Setup::new().without_spares(), async |daemon| {
        let client = std::rc::Rc::new(daemon.connect().await);
        client.warm("command").await.unwrap();
        let local = tokio::task::LocalSet::new();
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let starts: Vec<_> = (0..STARTS)
            .map(|_| {
                let (client, count) = (client.clone(), count.clone());
                local.spawn_local(async move {
                    let result = match client.try_run(shell("exit 5")).await {
                        Ok(mut run) => Ok((run.id(), run.exit().await)),
                        Err(status) => Err(status),
                    };
                    count.set(count.get() + 1);
                    result
                })
            })
            .collect();
        let watcher = daemon.connect().await;
        let mut killed = 0;
        let crash = async {
            // Three crashes, each in the middle of what is left: a fifth would be a failed template.
            while killed < 3 && count.get() < STARTS {
                let wanted = (killed + 1) * STARTS / 5;
                eventually_async("more have ended", async || {
                    (count.get() >= wanted).then_some(())
                })
                .await;
                let template = watcher.template("command").await;
                if template.state() == TemplateState::Warm && lives(template.zygote_pid) {
                    process::kill(template.zygote_pid);
                    killed += 1;
                }
            }
        };
        local.run_until(crash).await;
        let mut workers = std::collections::HashSet::new();
        let mut refusals = 0;
        for start in starts {
            match local.run_until(start).await.unwrap() {
                Ok((id, exit)) => {
                    assert!(workers.insert(id.counter), "one worker for two starts");
                    assert_eq!(exit.how, Some(exit::How::Code(5)), "{exit}");
                }
                Err(status) => {
                    let problem = mpfork_proto::problem::Problem::from_status(&status).unwrap();
                    let expected = [Reason::ZygoteFailed, Reason::WorkerLost];
                    assert!(expected.contains(&problem.reason), "{problem:?}");
                    refusals += 1;
                }
            }
        }
        assert!(killed > 0, "the zygote was killed amid the starts");
        let totals = watcher.status().await.workers.unwrap();
        assert_eq!(totals.running, 0, "{totals:?}");
        assert_eq!(totals.started, workers.len() as u64);
        assert_eq!(totals.exited, totals.started);
        assert_eq!(totals.failed, refusals);
        // No worker that nobody knows.
        let zygote = when(&watcher, "command", TemplateState::Warm)
            .await
            .zygote_pid;
        eventually("no process is left but the zygote", || {
            let tree = process::descendants(daemon.pid());
            (tree.len() == 1 && tree[0].pid == zygote).then_some(())
        });
    });
}

#[test]
fn an_exit_that_the_zygote_never_saw_is_told_where_the_kernel_tells_it() {
    for exit_info in [true, false] {
        // A spare's fork has its hooks run at any time.
        let setup = Setup::new().without_spares();
        let setup = if exit_info {
            setup
        } else {
            setup.without_feature("exit-info")
        };
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let gate = daemon.path("gate");
            let digest = client
                .test_template(&[
                    ("TEST_FAULT", "thief"),
                    ("TEST_GATE", gate.to_str().unwrap()),
                ])
                .await;
            let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
            let features = client.status().await.features;
            let known = features
                .iter()
                .any(|f| f.name == "exit-info" && f.available);
            // The next fork's hook kills and reaps the zygote's children behind its back.
            std::fs::write(&gate, "").unwrap();
            let mut next = client.run(function(&digest, "value", ())).await;
            assert!(next.exit().await.success());
            let exit = run.exit().await;
            if known {
                assert_eq!(exit.exitcode(), -9, "{exit}");
            } else {
                let Some(exit::How::Lost(lost)) = &exit.how else {
                    panic!("{exit:?}");
                };
                assert!(!lost.reason.is_empty());
                assert_eq!(exit.exitcode(), 255);
            }
        });
    }
}
