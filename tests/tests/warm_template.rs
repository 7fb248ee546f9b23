//! `WarmTemplate`: progress while it warms, the warm template in the end.
#![allow(clippy::unwrap_used)]

use mpfork_proto::v1::warm_template_response::Event;
use mpfork_proto::v1::{TemplateSpec, TemplateState, WarmProgress, WarmTemplateRequest};
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, process, template};

async fn at_gate(client: &TestClient, fault: &str, gate: &str) -> String {
    let variables = [("TEST_FAULT", fault), ("TEST_GATE", gate)];
    client.test_template(&variables).await
}

fn progress(event: Option<Event>) -> WarmProgress {
    match event {
        Some(Event::Progress(progress)) => progress,
        other => panic!("{other:?}"),
    }
}

#[test]
fn progress_is_told_and_then_that_it_is_warm() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = format!("{}/gate", daemon.folder().path().display());
        let digest = at_gate(&client, "progress", &gate).await;
        let request = WarmTemplateRequest {
            template: digest.clone(),
        };
        let answer = client.templates().warm_template(request).await.unwrap();
        let mut events = answer.into_inner();
        let mut seen: Vec<WarmProgress> = Vec::new();
        while let Some(message) = events.message().await.unwrap() {
            match message.event.unwrap() {
                Event::Progress(progress) => {
                    for (third, text) in [(1, "one third"), (2, "two thirds")] {
                        if progress.message == text {
                            assert_eq!(progress.fraction, Some(f64::from(third) / 3.0));
                            assert_eq!(progress.preload, "faulty");
                            std::fs::write(format!("{gate}.{third}"), "").unwrap();
                        }
                    }
                    seen.push(progress);
                }
                Event::Warm(template) => {
                    assert_eq!(template.state(), TemplateState::Warm);
                    assert_eq!(template.digest, digest);
                    let names: Vec<_> = template
                        .preload_reports
                        .iter()
                        .map(|report| report.name.as_str())
                        .collect();
                    assert_eq!(names, ["counted", "faulty", "hanging", "parent"]);
                    assert!(template.preload_time.is_some() && template.zygote_pid > 0);
                    assert_eq!(events.message().await.unwrap(), None);
                    break;
                }
            }
        }
        for text in ["one third", "two thirds"] {
            assert!(seen.iter().any(|progress| progress.message == text));
        }
        for progress in &seen {
            assert_eq!(progress.total, 4);
            assert!((1..=4).contains(&progress.index));
            assert!(progress.elapsed.is_some());
        }
    });
}

#[test]
fn several_may_wait_for_one_warming_and_one_may_give_up() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = at_gate(&client, "gate-waits", &gate).await;
        let at_gate = eventually_async("it is at the gate", async || {
            let template = client.template(&digest).await;
            template.reason.contains("faulty").then_some(template)
        });
        let template = tokio::select! {
            _ = client.warm(&digest) => panic!("nobody has opened the gate"),
            template = at_gate => template,
        };
        assert_eq!(template.state(), TemplateState::Warming);
        let others = daemon.connect().await;
        let open = async {
            eventually_async("all wait", async || {
                (client.in_use("waiting_starts").await == 3).then_some(())
            })
            .await;
            std::fs::write(&gate, "").unwrap();
        };
        let start = client.exit_of(function(&digest, "value", ()));
        let (one, two, exit, ()) =
            tokio::join!(client.warm(&digest), others.warm(&digest), start, open);
        for warm in [one, two] {
            assert!(matches!(warm.unwrap().last(), Some(Event::Warm(_))));
        }
        assert!(exit.success());
    });
}

#[test]
fn a_warm_template_is_told_at_once() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let events = client.warm("command").await.unwrap();
        let [Event::Warm(template)] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(template.zygote_pid, zygote);
        assert!(template.configured && template.name == "command");
    });
}

#[test]
fn only_the_preloads_named_are_loaded_after_those_they_come_after() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let program = test_program();
        let spec = TemplateSpec {
            all_preloads: false,
            preloads: vec!["parent".to_owned()],
            ..template(&program, &[])
        };
        let digest = client.try_register(&program, spec).await.unwrap().digest;
        let events = client.warm(&digest).await.unwrap();
        let Some(Event::Warm(template)) = events.last() else {
            panic!("{events:?}");
        };
        let reports = &template.preload_reports;
        let names: Vec<_> = reports.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["counted", "faulty", "parent"]);
        // In a worker the one that was not loaded loads at first use.
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
    });
}

#[test]
fn an_idle_zygote_is_let_go_and_comes_back_when_asked_for() {
    let setup = Setup::new().config("[timeouts]\nidle = \"300ms\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let zygote = client.template(&digest).await.zygote_pid;
        client.warm("command").await.unwrap();
        // The one without workers goes; the one with a worker stays.
        eventually_async("the idle one is cold", async || {
            let template = client.template("command").await;
            (template.state() == TemplateState::Cold).then_some(())
        })
        .await;
        let template = client.template(&digest).await;
        assert_eq!(
            (template.state(), template.zygote_pid),
            (TemplateState::Warm, zygote)
        );
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        eventually_async("it leaves", async || {
            (!process::lives(zygote)).then_some(())
        })
        .await;
        assert_eq!(client.template(&digest).await.state(), TemplateState::Cold);
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
    });
}

#[test]
fn a_configured_template_may_be_kept_warm() {
    let program = test_program();
    let setup = Setup::new().config(&format!(
        "[timeouts]\nidle = \"10ms\"\n[templates.words]\nprogram = {program:?}\nwarm = true\n\
         preloads = [\"counted\"]\nenv = {{ TEST_VALUE = \"from the configuration\" }}\n\
         rlimits = {{ core = 0, nofile = [64, 128] }}"
    ));
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let template = eventually_async("it is warm by itself", async || {
            let template = client.template("words").await;
            (template.state() == TemplateState::Warm).then_some(template)
        })
        .await;
        assert!(template.configured);
        assert_eq!(template.preloads, ["counted"]);
        let (output, exit) = client.output_of(function("words", "start-state", ())).await;
        assert!(exit.success());
        let state: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(state["limits"]["nofile"], serde_json::json!([64, 128]));
        assert_eq!(state["env"]["TEST_VALUE"], "from the configuration");
        // Longer than it would be kept if it were not for `warm`: idle ones are looked for every
        // second, and this one is seen to go.
        client.warm("command").await.unwrap();
        eventually_async("another is let go", async || {
            let other = client.template("command").await;
            (other.state() == TemplateState::Cold).then_some(())
        })
        .await;
        let later = client.template("words").await;
        assert_eq!(later.zygote_pid, template.zygote_pid);
        // It is found under its digest, too.
        assert_eq!(client.template(&template.digest).await.name, "words");
    });
}

#[test]
fn the_first_event_names_the_first_preload() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = at_gate(&client, "gate-waits", &gate).await;
        let request = WarmTemplateRequest {
            template: digest.clone(),
        };
        let answer = client.templates().warm_template(request).await.unwrap();
        let mut events = answer.into_inner();
        let first = events.message().await.unwrap().unwrap();
        let first = progress(first.event);
        assert!(
            ["counted", "faulty"].contains(&first.preload.as_str()),
            "{first:?}"
        );
        // Somebody who comes late learns where it is, too, as soon as there is news; here by looking.
        eventually_async("it is at the gate", async || {
            let template = client.template(&digest).await;
            template.reason.contains("faulty (2 of 4)").then_some(())
        })
        .await;
        std::fs::write(&gate, "").unwrap();
        while events.message().await.unwrap().is_some() {}
    });
}
