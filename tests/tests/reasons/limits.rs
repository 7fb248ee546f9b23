//! Limits, each by its name.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, Descriptor};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused, template};

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
        // One that is cold makes room; one that is warm does not.
        let digest_2 = client.test_template(&[("TEST_VALUE", "2")]).await;
        refused(client.warm(&digest).await, Reason::UnknownTemplate);
        client.warm(&digest_2).await.unwrap();
        let program = test_program();
        let spec = template(&program, &[("TEST_VALUE", "3")]);
        let refusal = client.try_register(&program, spec).await;
        reached(
            &refused(refusal, Reason::LimitReached),
            "limits.templates",
            "2",
        );
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
        let placed = |target| v1::PlacedDescriptor {
            descriptor: Some(Descriptor::default()),
            target,
        };
        // Refused by their number, before any is looked for, or for the first that is missing.
        let mut spec = shell("exit 0");
        spec.state.as_mut().unwrap().descriptors = (10..300).map(placed).collect();
        let status = client.try_run(spec).await.unwrap_err();
        let problem = Problem::from_status(&status).unwrap();
        let expected = [Reason::LimitReached, Reason::DescriptorMissing];
        assert!(expected.contains(&problem.reason), "{problem:?}");
    });
}
