//! `ListTemplates`: all of them, in every state.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{ListTemplatesRequest, Template, TemplateState};
use mpfork_tests::harness::programs::{self, test_program};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused};
use std::collections::HashMap;

async fn list(client: &TestClient) -> Vec<Template> {
    let answer = client
        .templates()
        .list_templates(ListTemplatesRequest {})
        .await;
    answer.unwrap().into_inner().templates
}

#[test]
fn the_built_in_one_comes_first_and_configured_ones_before_registered_ones() {
    let program = test_program();
    let setup = Setup::new().config(&format!(
        "[templates.zebra]\nprogram = {program:?}\n[templates.ant]\nprogram = {program:?}"
    ));
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        client.test_template(&[]).await;
        let templates = list(&client).await;
        let names: Vec<_> = templates
            .iter()
            .map(|t| (t.name.as_str(), t.configured))
            .collect();
        assert_eq!(
            names,
            [
                ("ant", true),
                ("command", true),
                ("zebra", true),
                ("test-program", false)
            ]
        );
        assert!(templates.iter().all(|t| t.digest.len() == 64));
        assert_eq!(templates[0].digest, templates[2].digest, "the same recipe");
    });
}

#[test]
fn every_state_is_seen() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let copy = daemon.path("copy");
        programs::copy(&copy);
        let superseded = client.register(&copy, &[]).await;
        let rebuilt = daemon.path("rebuilt");
        programs::rebuild(&rebuilt);
        std::fs::rename(&rebuilt, &copy).unwrap();
        client.register(&copy, &[]).await;
        let cold = client.test_template(&[("TEST_VALUE", "cold")]).await;
        let warm = client.test_template(&[("TEST_VALUE", "warm")]).await;
        client.warm(&warm).await.unwrap();
        let failed = client.test_template(&[("TEST_FAULT", "panic")]).await;
        eventually_async("it is failed", async || {
            let started = client.try_run(function(&failed, "value", ())).await;
            refused(started, Reason::PreloadFailed);
            let state = client.template(&failed).await.state();
            (state == TemplateState::Failed).then_some(())
        })
        .await;
        let backoff = client.test_template(&[("TEST_FAULT", "exit")]).await;
        let mut warming = vec![("TEST_FAULT", "gate-waits")];
        warming.push(("TEST_GATE", &gate));
        let warming = client.test_template(&warming).await;
        let look = async {
            eventually_async("it is being warmed", async || {
                let state = client.template(&warming).await.state();
                (state == TemplateState::Warming).then_some(())
            })
            .await;
            refused(client.warm(&backoff).await, Reason::ZygoteFailed);
            let templates = list(&client).await;
            let states: HashMap<_, _> = templates.iter().map(|t| (&t.digest, t.state())).collect();
            for (digest, state) in [
                (&superseded, TemplateState::Draining),
                (&cold, TemplateState::Cold),
                (&warm, TemplateState::Warm),
                (&failed, TemplateState::Failed),
                (&backoff, TemplateState::Backoff),
                (&warming, TemplateState::Warming),
            ] {
                assert_eq!(states[digest], state);
            }
            for template in &templates {
                let warm = template.state() == TemplateState::Warm;
                assert_eq!(template.reason.is_empty(), warm, "{template:?}");
                assert_eq!(template.zygote_pid > 0, warm, "{template:?}");
            }
            std::fs::write(&gate, "").unwrap();
        };
        let (warmed, ()) = tokio::join!(client.warm(&warming), look);
        warmed.unwrap();
    });
}
