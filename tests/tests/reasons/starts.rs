//! Starts that fail on their way.

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, TemplateState};
use mpfork_tests::harness::cgroup::PidsCgroup;
use mpfork_tests::harness::programs::{install, test_program};
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{
    Setup, check, eventually, eventually_async, is_root, process, refused, template,
};
use std::time::Duration;

fn pid_of(template: &v1::Template) -> i32 {
    assert_eq!(template.state(), TemplateState::Warm, "{template:?}");
    template.zygote_pid
}

pub(super) fn fork_failed() {
    let setup = Setup::new().config("[timeouts]\nfork = \"2s\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let cgroup = if is_root() { PidsCgroup::full() } else { None };
        let mut spec = template(&test_program(), &[]);
        if !is_root() {
            let limit = v1::Rlimit {
                resource: mpfork_sys::limits::NPROC,
                soft: 1,
                hard: 1,
            };
            spec.rlimits = vec![limit];
        }
        let registered = client.try_register(&test_program(), spec).await.unwrap();
        let digest = registered.digest;
        client.warm(&digest).await.unwrap();
        let zygote = pid_of(&client.template(&digest).await);
        if let Some(cgroup) = &cgroup {
            cgroup.add(zygote);
        }
        if cgroup.is_some() || !is_root() {
            for _ in 0..3 {
                let started = client.try_run(function(&digest, "value", ())).await;
                let problem = refused(started, Reason::ForkFailed);
                assert_eq!(problem.get("errno"), "11", "{problem:?}");
                assert_eq!(problem.get("template"), "test-program");
            }
            // The zygote lives on, and nothing is half started.
            assert_eq!(pid_of(&client.template(&digest).await), zygote);
            assert!(process::children(zygote).is_empty());
        } else {
            eprintln!("skipped: no pids cgroup");
        }
        if let Some(cgroup) = &cgroup {
            cgroup.lift();
            assert!(
                client
                    .exit_of(function(&digest, "value", ()))
                    .await
                    .success()
            );
        }
        // A zygote that does not answer.
        client.warm("command").await.unwrap();
        let zygote = pid_of(&client.template("command").await);
        process::stop(zygote);
        let problem = refused(client.try_run(shell("exit 0")).await, Reason::ForkFailed);
        assert!(problem.get("message").contains("no answer"), "{problem:?}");
        // It is stuck, and replaced.
        eventually("it is gone", || (!process::lives(zygote)).then_some(()));
        assert!(client.exit_of(shell("exit 0")).await.success());
        assert_eq!(client.status().await.workers.unwrap().running, 0);
    });
}

pub(super) fn hook_failed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for (fault, message) in [("before-fork", "not now"), ("before-fork-panic", "never")] {
            let digest = client.test_template(&[("TEST_FAULT", fault)]).await;
            let started = client.try_run(function(&digest, "value", ())).await;
            let problem = refused(started, Reason::HookFailed);
            assert_eq!(problem.get("hook"), "check");
            assert!(problem.get("message").contains(message), "{problem:?}");
            let template = client.template(&digest).await;
            assert_eq!(template.state(), TemplateState::Warm);
            assert_eq!((template.workers_failed, template.workers_started), (1, 0));
        }
    });
}

pub(super) fn exec_failed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = daemon.path("script");
        install(b"#!/nowhere/interpreter\n", &script, 0o755);
        let plain = daemon.path("plain");
        std::fs::write(&plain, "x").unwrap();
        for (program, errno) in [
            ("/nowhere/at/all", "2"),
            ("nowhere-in-path", "2"),
            (plain.to_str().unwrap(), "13"),
            (script.to_str().unwrap(), "2"),
        ] {
            let started = client.try_run(command(&[program, "x"])).await;
            let problem = refused(started, Reason::ExecFailed);
            assert_eq!(problem.get("errno"), errno, "{problem:?}");
            assert!(problem.get("program").contains(program), "{problem:?}");
        }
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.started, totals.failed), (0, 4));
        assert!(client.list_workers(true).await.is_empty());
    });
}

pub(super) fn start_state_failed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut spec = shell("exit 0");
        spec.state.as_mut().unwrap().cwd_path = Some(b"/nowhere/at/all".to_vec());
        let problem = refused(client.try_run(spec).await, Reason::StartStateFailed);
        assert_eq!(problem.get("what"), "working directory");
        assert_eq!(problem.get("errno"), "2");
        // A terminal that is none.
        let mut spec = shell("exit 0");
        let state = spec.state.as_mut().unwrap();
        (state.new_session, state.controlling_terminal) = (true, true);
        let problem = refused(client.try_run(spec).await, Reason::StartStateFailed);
        assert_eq!(problem.get("what"), "controlling terminal");
        assert_eq!(client.status().await.workers.unwrap().failed, 2);
    });
}

pub(super) fn worker_lost() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = pid_of(&client.template("command").await);
        // The assignment is larger than a socket holds, so the worker waits for mpforkd in the
        // middle of it; and mpforkd is stopped. There the worker dies.
        process::stop(zygote);
        let mut spec = shell("exit 0");
        let state = spec.state.as_mut().unwrap();
        state.env.push(spec::set("LARGE", &"x".repeat(100_000)));
        let more = (0..25).map(|n| spec::set(&format!("LARGE_{n}"), &"x".repeat(100_000)));
        state.env.extend(more);
        let other = daemon.connect().await;
        let start = other.try_run(spec);
        let die = async {
            eventually_async("the start is under way", async || {
                (client.in_use("workers").await == 1).then_some(())
            })
            .await;
            process::stop(daemon.pid());
            process::resume(zygote);
            let worker = eventually("the worker is forked", || {
                process::children(zygote).pop().map(|worker| worker.pid)
            });
            process::kill(worker);
            process::resume(daemon.pid());
        };
        let (started, ()) = tokio::join!(start, die);
        let problem = refused(started, Reason::WorkerLost);
        assert!(!problem.get("worker").is_empty());
        assert!(client.list_workers(true).await.is_empty());
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.running, totals.started, totals.failed), (0, 0, 1));
    });
}

pub(super) fn draining() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = v1::DrainRequest::default();
        client.admin().drain(request).await.unwrap();
        let problem = refused(client.try_run(shell("exit 0")).await, Reason::Draining);
        assert!(problem.metadata.is_empty());
        let request = v1::DrainRequest {
            undo: true,
            ..request
        };
        client.admin().drain(request).await.unwrap();
        assert!(client.exit_of(shell("exit 0")).await.success());
    });
}

pub(super) fn shutting_down() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let deaf = shell("trap '' TERM; echo ready; while :; do sleep 600; done");
        let (mut run, _) = client.run_until_line(deaf).await;
        let request = v1::ShutdownRequest {
            grace: spec::duration(Duration::from_secs(600)),
        };
        client.admin().shutdown(request).await.unwrap();
        let problem = refused(client.try_run(shell("exit 0")).await, Reason::ShuttingDown);
        assert!(problem.metadata.is_empty());
        refused(client.warm(&digest).await, Reason::ShuttingDown);
        refused(client.reload(&digest).await, Reason::ShuttingDown);
        let program = test_program();
        let spec = template(&program, &[("TEST_VALUE", "other")]);
        let registered = client.try_register(&program, spec).await;
        refused(registered, Reason::ShuttingDown);
        // What runs can still be looked at and signalled.
        assert!(client.status().await.shutting_down);
        assert_eq!(client.list_workers(false).await.len(), 1);
        client.signal(run.id(), 9, true).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -9);
        drop(run);
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}
