//! Limits, each by its name.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{self, command, function, shell, without_streams};
use mpfork_tests::harness::{
    Setup, TestClient, check, eventually, eventually_async, process, refused, template,
};

pub(super) fn limit_reached() {
    let limited = |config: &str| Setup::new().config("[limits]").config(config);
    let reached = |problem: &Problem, limit: &str, value: &str| {
        assert_eq!(problem.get("limit"), limit, "{problem:?}");
        assert_eq!(problem.get("value"), value, "{problem:?}");
    };
    check(limited("workers = 2"), async |daemon| {
        let client = daemon.connect().await;
        let mut one = client.run(command(&["sleep", "600"])).await;
        let mut two = client.run(command(&["sleep", "600"])).await;
        let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
        reached(&problem, "limits.workers", "2");
        client.signal(one.id(), 15, false).await.unwrap();
        one.exit().await;
        assert!(client.exit_of(shell("exit 0")).await.success());
        client.signal(two.id(), 15, false).await.unwrap();
        two.exit().await;
    });
    check(limited("workers_per_template = 1"), async |daemon| {
        let client = daemon.connect().await;
        let _one = client.run(command(&["sleep", "600"])).await;
        let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
        reached(&problem, "limits.workers_per_template", "1");
        let digest = client.test_template(&[]).await;
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
    });
    check(limited("templates = 2"), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[("TEST_VALUE", "1")]).await;
        // One that is not in use makes room, be it cold or warm.
        let digest_2 = client.test_template(&[("TEST_VALUE", "2")]).await;
        refused(client.warm(&digest).await, Reason::UnknownTemplate);
        client.warm(&digest_2).await.unwrap();
        let digest_3 = client.test_template(&[("TEST_VALUE", "4")]).await;
        refused(client.warm(&digest_2).await, Reason::UnknownTemplate);
        let busy = client.run(function(&digest_3, "hang", ())).await;
        let program = test_program();
        let spec = template(&program, &[("TEST_VALUE", "3")]);
        let refusal = client.try_register(&program, spec).await;
        reached(
            &refused(refusal, Reason::LimitReached),
            "limits.templates",
            "2",
        );
        client.signal(busy.id(), 9, false).await.unwrap();
    });
    check(limited("connections = 2"), async |daemon| {
        let _one = daemon.connect().await;
        let two = daemon.connect().await;
        let three = TestClient::try_connect(daemon.socket()).await;
        reached(
            &refused(three, Reason::LimitReached),
            "limits.connections",
            "2",
        );
        drop(two);
        eventually_async("there is room", async || {
            TestClient::try_connect(daemon.socket()).await.ok()
        })
        .await;
    });
    check(limited("waiting_starts = 1"), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let first = client.exit_of(function(&digest, "value", ()));
        let second = async {
            eventually_async("one waits", async || {
                (client.in_use("waiting_starts").await == 1).then_some(())
            })
            .await;
            let second = client.try_run(function(&digest, "value", ())).await;
            reached(
                &refused(second, Reason::LimitReached),
                "limits.waiting_starts",
                "1",
            );
            std::fs::write(&gate, "").unwrap();
        };
        let (exit, ()) = tokio::join!(first, second);
        assert!(exit.success());
    });
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let queued = client.queue((0..251).map(|_| null()).collect()).await;
        let mut spec = shell("exit 0");
        for (descriptor, target) in queued.descriptors.iter().zip(10..) {
            spec::place(&mut spec, *descriptor, target);
        }
        let problem = refused(client.try_run(spec).await, Reason::LimitReached);
        reached(&problem, "descriptors of one worker", "250");
    });
}

/// What mpforkd itself may have open: typed, and when there is room again all is well.
pub(super) fn open_files() {
    check(Setup::new().open_files(400), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        // As many workers as it can look after, which are fewer than configured.
        let mut running = Vec::new();
        let problem = loop {
            match client
                .try_run(without_streams(command(&["sleep", "600"])))
                .await
            {
                Ok(run) => running.push(run),
                Err(status) => break refused::<()>(Err(status), Reason::LimitReached),
            }
        };
        assert_eq!(problem.get("limit"), "limits.workers");
        assert_eq!(problem.get("value"), running.len().to_string());
        assert!(running.len() > 5 && running.len() < 200);
        for run in &running {
            assert!(client.signal(run.id(), 9, false).await.unwrap());
        }
        for run in &mut running {
            assert_eq!(run.exit().await.exitcode(), -9);
        }
        // Streams take no more than leaves room for mpforkd itself.
        let mut attachable = Vec::new();
        let problem = loop {
            let mut spec = command(&["sleep", "600"]);
            let mut stdio = v1::Stdio::default();
            stdio.set_stdin(v1::Stream::Attached);
            stdio.set_stdout(v1::Stream::Attached);
            spec.state.get_or_insert_default().stdio = Some(stdio);
            match client.start(spec, true).await {
                Ok(started) => attachable.push(started.worker.unwrap()),
                Err(status) => break refused::<()>(Err(status), Reason::LimitReached),
            }
        };
        assert_eq!(problem.get("limit"), "open files of mpforkd");
        // The status shows it.
        let limits = client.status().await.limits;
        let files = limits.iter().find(|limit| limit.name == "worker_files");
        let (used, value) = (files.unwrap().used.unwrap(), files.unwrap().value);
        // 400, less 300 for itself, less two for each spare there may be.
        assert_eq!(value, 88);
        assert!(used <= value && used + 6 > value, "{used}");
        assert!(attachable.len() > 5 && attachable.len() < running.len());
        let other = daemon.connect().await;
        assert!(
            other
                .exit_of(without_streams(shell("exit 0")))
                .await
                .success()
        );
        for id in attachable {
            assert!(client.signal(id, 9, false).await.unwrap());
            client.wait(Some(id)).await.unwrap();
        }
        drop(other);
        // Those that ended last are kept to be attached to.
        for _ in 0..70 {
            client.exit_of(without_streams(shell("exit 0"))).await;
        }
        // Connections that say nothing take all there is.
        let idle: Vec<_> = (0..500)
            .map_while(|_| std::os::unix::net::UnixStream::connect(daemon.socket()).ok())
            .take_while(|_| process::open_descriptors(daemon.pid()) < 400)
            .collect();
        eventually("it has no more", || {
            (process::open_descriptors(daemon.pid()) >= 399).then_some(())
        });
        let mut refusals = 0;
        for _ in 0..20 {
            match client.try_run(shell("exit 6")).await {
                Ok(mut run) => assert_eq!(run.exit().await.exitcode(), 6),
                Err(status) => {
                    refused::<()>(Err(status), Reason::LimitReached);
                    refusals += 1;
                }
            }
        }
        assert!(refusals > 0);
        assert_eq!(client.status().await.workers.unwrap().running, 0);
        drop(idle);
        eventually_async("there is room again", async || {
            let mut run = client.try_run(shell("exit 6")).await.ok()?;
            assert_eq!(run.exit().await.exitcode(), 6);
            Some(())
        })
        .await;
        for _ in 0..50 {
            assert!(client.exit_of(shell("exit 0")).await.success());
        }
    });
}
