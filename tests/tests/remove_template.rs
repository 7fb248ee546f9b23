//! `RemoveTemplate`: forgotten at once; what runs goes on.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_tests::harness::process::lives;
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check, eventually_async, refused, template};

#[test]
fn its_zygote_leaves_after_its_last_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let zygote = client.template(&digest).await.zygote_pid;
        client.remove(&digest).await.unwrap();
        let started = client.try_run(function(&digest, "value", ())).await;
        refused(started, Reason::UnknownTemplate);
        refused(client.remove(&digest).await, Reason::UnknownTemplate);
        assert_eq!(client.status().await.templates.len(), 1);
        assert!(lives(run.pid()) && lives(zygote));
        // The worker is still known, by its id.
        assert_eq!(client.get_worker(run.id()).await.unwrap().template, digest);
        client.signal(run.id(), 15, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -15);
        eventually_async("its zygote leaves", async || (!lives(zygote)).then_some(())).await;
        // The same recipe is a new template.
        let program = test_program();
        let again = client
            .try_register(&program, template(&program, &[]))
            .await
            .unwrap();
        assert_eq!((again.digest, again.created), (digest, true));
    });
}

#[test]
fn one_that_is_being_warmed_is_given_up() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let start = client.try_run(function(&digest, "value", ()));
        let remove = async {
            eventually_async("it is at the gate", async || {
                let template = client.template(&digest).await;
                template.reason.contains("faulty").then_some(())
            })
            .await;
            client.remove(&digest).await.unwrap();
            std::fs::write(&gate, "").unwrap();
        };
        let (started, ()) = tokio::join!(start, remove);
        refused(started, Reason::UnknownTemplate);
        eventually_async("its zygote leaves", async || {
            mpfork_tests::harness::process::children(daemon.pid())
                .is_empty()
                .then_some(())
        })
        .await;
    });
}
