//! A preload fails, prints a lot, or has children.

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::TemplateState;
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check, eventually, eventually_async, refused};

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
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
        let digest = client
            .test_template(&[("TEST_FAULT", "megabytes-chain")])
            .await;
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
            assert!(
                client
                    .exit_of(function(&digest, "value", ()))
                    .await
                    .success()
            );
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
