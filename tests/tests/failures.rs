//! The table of failures: what dies, and what must happen. Rows client, worker, zygote, preload, lost
//! answer, and mpforkd itself.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{Signaled, Template, TemplateState, WorkerSpec, exit};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{
    Daemon, Folder, Run, Setup, TestClient, block_on, check, eventually, eventually_async, refused,
};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FEATURES: [&str; 3] = ["exit-info", "group-signal", "peer-pidfd"];

/// A worker that ends with this code once it is signalled with USR1, and says that it is ready.
async fn obedient(client: &TestClient, code: i32) -> Run {
    let script = format!("trap 'exit {code}' USR1; echo ready; while :; do sleep 0.01; done");
    client.run_until_line(shell(&script)).await.0
}

async fn when(client: &TestClient, template: &str, state: TemplateState) -> Template {
    eventually_async(&format!("{template} is {state:?}"), async || {
        let template = client.template(template).await;
        (template.state() == state).then_some(template)
    })
    .await
}

// ---- worker

/// Every way to end is told exactly, with each kernel feature and without.
fn exact_statuses(setup: Setup) {
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        for (script, expected) in [
            ("exit 0", 0),
            ("exit 255", 255),
            ("kill -KILL $$", -9),
            ("kill -TERM $$", -15),
            ("kill -64 $$", -64),
        ] {
            let exit = client.exit_of(shell(script)).await;
            assert_eq!(exit.exitcode(), expected, "{script}: {exit}");
            assert!(exit.rusage.is_some());
        }
        let script = "sleep 603 >/dev/null 2>&1 & echo $!; exit 9";
        let (mut run, line) = client.run_until_line(shell(script)).await;
        let exit = run.exit().await;
        assert_eq!((exit.exitcode(), exit.leftovers.len()), (9, 1), "{exit:?}");
        let left: i32 = line.parse().unwrap();
        eventually("it is gone", || (!lives(left)).then_some(()));
        let mut run = obedient(&client, 4).await;
        assert!(client.signal(run.id(), 10, true).await.unwrap());
        assert_eq!(run.exit().await.exitcode(), 4);
        // And a worker whose owner is gone.
        let owner = daemon.connect().await;
        let run = obedient(&owner, 4).await;
        drop(owner);
        drop_connection(run).await;
        eventually_async("it is ended", async || {
            client.list_workers(false).await.is_empty().then_some(())
        })
        .await;
    });
}

/// A connection ends when all that belongs to it is dropped, and its tasks have seen that.
async fn drop_connection(run: Run) {
    drop(run);
    tokio::task::yield_now().await;
}

#[test]
fn a_workers_end_is_told_exactly() {
    exact_statuses(Setup::new());
}

#[test]
fn a_workers_end_is_told_exactly_without_exit_info() {
    exact_statuses(Setup::new().without_feature("exit-info"));
}

#[test]
fn a_workers_end_is_told_exactly_without_group_signal() {
    exact_statuses(Setup::new().without_feature("group-signal"));
}

#[test]
fn a_workers_end_is_told_exactly_without_peer_pidfd() {
    exact_statuses(Setup::new().without_feature("peer-pidfd"));
}

#[test]
fn a_workers_end_is_told_exactly_without_any() {
    let without = |setup: Setup, feature: &&str| setup.without_feature(feature);
    exact_statuses(FEATURES.iter().fold(Setup::new(), without));
}

// ---- zygote

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
            ..shell("echo ready; exec sleep 600")
        };
        let (mut limited, _) = client.run_until_line(limited).await;
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

#[test]
fn a_zygote_killed_amid_many_starts_leaves_nothing_half_started() {
    const STARTS: usize = 400;
    check(Setup::new(), async |daemon| {
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
        let zygote = when(&watcher, "command", TemplateState::Warm).await.zygote_pid;
        eventually("no process is left but the zygote", || {
            let tree = process::descendants(daemon.pid());
            (tree.len() == 1 && tree[0].pid == zygote).then_some(())
        });
    });
}

#[test]
fn an_exit_that_the_zygote_never_saw_is_told_where_the_kernel_tells_it() {
    for exit_info in [true, false] {
        let setup = if exit_info {
            Setup::new()
        } else {
            Setup::new().without_feature("exit-info")
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
            let (mut run, _) = client
                .run_until_line(function(&digest, "hang", ()))
                .await;
            let features = client.status().await.features;
            let known = features.iter().any(|f| f.name == "exit-info" && f.available);
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

// ---- preload

#[test]
fn a_failing_preload_is_told_to_every_start_and_tried_again_with_pauses() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let count = daemon.path("count");
        let digest = client
            .test_template(&[
                ("TEST_FAULT", "chain"),
                ("TEST_COUNT", count.to_str().unwrap()),
            ])
            .await;
        let mut states = Vec::new();
        let failed = eventually_async("it is failed", async || {
            let problem = client.try_run(function(&digest, "value", ())).await;
            refused(problem, Reason::PreloadFailed);
            let template = client.template(&digest).await;
            if states.last() != Some(&template.state()) {
                states.push(template.state());
            }
            (template.state() == TemplateState::Failed).then_some(template)
        })
        .await;
        assert_eq!(states, [TemplateState::Backoff, TemplateState::Failed]);
        let loads = std::fs::read_to_string(&count).unwrap().lines().count();
        assert_eq!(loads, 5, "each try loads once, each start does not");
        assert!(failed.workers_failed >= 5);
        assert!(failed.last_error.contains("the list can't be read"));
    });
}

#[test]
fn a_preload_that_prints_a_lot_is_no_trouble() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "megabytes")]).await;
        client.warm(&digest).await.unwrap();
        assert!(client.exit_of(function(&digest, "value", ())).await.success());
        let digest = client.test_template(&[("TEST_FAULT", "megabytes-chain")]).await;
        let problem = refused(client.warm(&digest).await, Reason::PreloadFailed);
        assert!(problem.get("message").contains("the list can't be read"));
    });
}

#[test]
fn children_of_a_preload_are_the_zygotes_and_go_with_it() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_FAULT", "children")]).await;
        client.warm(&digest).await.unwrap();
        let zygote = client.template(&digest).await.zygote_pid;
        let children = process::children(zygote);
        assert_eq!(children.len(), 2, "{children:?}");
        // Workers are reaped all the same, and the children are not taken for workers.
        for _ in 0..5 {
            assert!(client.exit_of(function(&digest, "value", ())).await.success());
        }
        process::kill(zygote);
        for child in children {
            eventually("it goes with the zygote", || {
                (!lives(child.pid)).then_some(())
            });
        }
        client.remove(&digest).await.unwrap();
        eventually("mpforkd has reaped them", || {
            process::children(daemon.pid())
                .iter()
                .all(|child| child.state != 'Z')
                .then_some(())
        });
    });
}

// ---- client

#[test]
fn a_client_killed_while_its_child_holds_the_connection_is_gone() {
    for feature in [None, Some("peer-pidfd")] {
        let setup = Setup::new();
        let setup = match feature {
            Some(feature) => setup.without_feature(feature),
            None => setup,
        };
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            for what in ["end", "keep"] {
                let mut owner = Command::new(test_program())
                    .args(["own".as_ref(), daemon.socket().as_os_str(), what.as_ref()])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut line = String::new();
                let mut output = BufReader::new(owner.stdout.take().unwrap());
                output.read_line(&mut line).unwrap();
                let words: Vec<&str> = line.split_whitespace().collect();
                let [worker, pid, holder] = words[..] else {
                    panic!("{line:?}");
                };
                let id = worker.parse().unwrap();
                let (pid, holder): (i32, i32) = (pid.parse().unwrap(), holder.parse().unwrap());
                let owner_pid = i32::try_from(owner.id()).unwrap();
                assert_eq!(client.get_worker(id).await.unwrap().owner_pid, owner_pid);
                assert!(lives(pid));
                owner.kill().unwrap();
                owner.wait().unwrap();
                assert!(lives(holder), "it holds the connection");
                if what == "end" {
                    let exit = client.wait(Some(id)).await.unwrap();
                    assert_eq!(exit.exitcode(), -15, "{exit}");
                } else {
                    eventually_async("it has no owner", async || {
                        let worker = client.get_worker(id).await.unwrap();
                        (worker.owner_pid == 0).then_some(())
                    })
                    .await;
                    assert!(lives(pid));
                    client.signal(id, 9, false).await.unwrap();
                    assert_eq!(client.wait(Some(id)).await.unwrap().exitcode(), -9);
                }
                process::kill(holder);
            }
        });
    }
}

// ---- lost answer

#[test]
fn when_the_answer_is_lost_the_same_request_gives_the_same_worker() {
    check(Setup::new(), async |daemon| {
        let gate = daemon.path("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let witness = daemon.connect().await;
        let digest = witness
            .test_template(&[
                ("TEST_FAULT", "gate-waits"),
                ("TEST_GATE", gate.to_str().unwrap()),
            ])
            .await;
        let request = WorkerSpec {
            on_owner_death: 2,
            ..function(&digest, "hang", ())
        };
        // The connection breaks after the request, before the answer.
        {
            let client = daemon.connect().await;
            let start = client.try_run(request.clone());
            let under_way = eventually_async("the start waits", async || {
                let status = witness.status().await;
                let waiting = status.limits.iter().find(|l| l.name == "waiting_starts");
                (waiting.unwrap().used == Some(1)).then_some(())
            });
            tokio::select! {
                _ = start => panic!("it can't have started"),
                () = under_way => {}
            }
        }
        std::fs::write(&gate, "").unwrap();
        eventually_async("it runs", async || {
            (witness.list_workers(false).await.len() == 1).then_some(())
        })
        .await;
        let client = daemon.connect().await;
        let mut run = client.run(request.clone()).await;
        assert_eq!(witness.list_workers(true).await.len(), 1);
        let worker = client.get_worker(run.id()).await.unwrap();
        assert_eq!(worker.owner_pid, i32::try_from(std::process::id()).unwrap());
        client.signal(run.id(), 9, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        assert_eq!(witness.status().await.workers.unwrap().started, 1);
    });
}

// ---- mpforkd

#[test]
fn when_mpforkd_is_killed_zygotes_finish_and_the_next_one_starts() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        let client = daemon.connect().await;
        let mut run = obedient(&client, 3).await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let idle = client.template(&digest).await.zygote_pid;
        daemon.signal(rustix::process::Signal::KILL);
        // The client learns of it: a broken connection, not silence.
        let status = run.try_exit().await.unwrap_err();
        assert!(mpfork_proto::problem::Problem::from_status(&status).is_none());
        eventually("an idle zygote leaves", || (!lives(idle)).then_some(()));
        assert!(lives(run.pid()) && lives(zygote), "what runs goes on");
        // The next one takes the same socket over while the old one's workers run.
        let next = Setup::within(&folder).start();
        let other = next.connect().await;
        assert_ne!(other.handshake.instance, client.handshake.instance);
        refused(other.get_worker(run.id()).await, Reason::UnknownWorker);
        assert!(other.exit_of(shell("exit 0")).await.success());
        process::signal(run.pid(), rustix::process::Signal::USR1);
        eventually("the zygote leaves after its last worker", || {
            (!lives(zygote)).then_some(())
        });
        let ended = daemon.ended();
        assert_eq!(ended.how, "signal 9");
        assert_eq!(ended.left, Vec::<String>::new());
        drop(other);
        next.finish();
    });
}

#[test]
fn when_mpforkd_is_killed_while_preloading_its_zygote_is_killed_too() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.path("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let digest = client
            .test_template(&[
                ("TEST_FAULT", "gate-waits"),
                ("TEST_GATE", gate.to_str().unwrap()),
            ])
            .await;
        let warm = client.warm(&digest);
        let kill = async {
            eventually_async("it preloads", async || {
                let state = client.template(&digest).await;
                (state.state() == TemplateState::Warming && state.reason.contains("faulty"))
                    .then_some(())
            })
            .await;
            daemon.signal(rustix::process::Signal::KILL);
        };
        let (warm, ()) = tokio::join!(warm, kill);
        assert!(warm.is_err());
        let ended = daemon.ended();
        assert_eq!(ended.left, Vec::<String>::new(), "the gate is still shut");
    });
}

#[test]
fn the_crate_tells_a_lost_daemon_from_none() {
    let setup = Setup::new();
    let socket = setup.folder().join("mpforkd.sock");
    let none = block_on(mpfork::api::Client::connect(Some(&socket)));
    assert!(matches!(none, Err(mpfork::Error::NoServer(_))), "{none:?}");
    check(setup, async |daemon: &Daemon| {
        let client = mpfork::api::Client::connect(Some(daemon.socket())).await.unwrap();
        client.get_status().await.unwrap();
        let _ = daemon.kill();
        let lost = client.get_status().await;
        assert!(matches!(lost, Err(mpfork::Error::ServerLost { .. })), "{lost:?}");
        client.ended().await;
        // The socket lies there, and nobody serves it.
        let none = mpfork::api::Client::connect(Some(daemon.socket())).await;
        assert!(matches!(none, Err(mpfork::Error::NoServer(_))), "{none:?}");
    });
}
