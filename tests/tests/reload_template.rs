//! `ReloadTemplate`: a new zygote beside the old one, which drains; or stays, when the new one fails.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::TemplateState;
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::programs::{self, BUILDS, rebuild};
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, check, eventually_async, refused};

#[test]
fn workers_of_the_old_zygote_go_on_and_it_leaves_after_them() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let count = daemon.path("count");
        let digest = client
            .test_template(&[("TEST_COUNT", count.to_str().unwrap())])
            .await;
        let (mut old, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let before = client.template(&digest).await.zygote_pid;
        let after = client.reload(&digest).await.unwrap();
        assert_eq!(after.state(), TemplateState::Warm);
        assert_ne!(after.zygote_pid, before);
        assert_eq!(after.draining_zygotes, 1);
        assert_eq!(after.workers_running, 1);
        let (mut new, _) = client.run_until_line(function(&digest, "hang", ())).await;
        assert_eq!(process::see(new.pid()).unwrap().parent, after.zygote_pid);
        assert_eq!(process::see(old.pid()).unwrap().parent, before);
        client.signal(old.id(), 12, false).await.unwrap();
        let exit = old.exit().await;
        assert_eq!(exit.exitcode(), -12);
        assert!(exit.rusage.is_some(), "from its own zygote");
        eventually_async("the old zygote leaves", async || {
            (!lives(before)).then_some(())
        })
        .await;
        eventually_async("it is not listed any more", async || {
            let template = client.template(&digest).await;
            (template.draining_zygotes == 0).then_some(())
        })
        .await;
        assert!(lives(new.pid()));
        client.signal(new.id(), 9, false).await.unwrap();
        new.exit().await;
        let loads = std::fs::read_to_string(&count).unwrap().lines().count();
        assert_eq!(loads, 2);
    });
}

#[test]
fn a_reload_that_fails_keeps_the_old_zygote() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.path("gate");
        let digest = client
            .test_template(&[
                ("TEST_FAULT", "gate-fails"),
                ("TEST_GATE", gate.to_str().unwrap()),
            ])
            .await;
        client.warm(&digest).await.unwrap();
        let before = client.template(&digest).await.zygote_pid;
        std::fs::write(&gate, "").unwrap();
        let problem = refused(client.reload(&digest).await, Reason::PreloadFailed);
        assert!(problem.get("message").contains("the gate is shut"));
        let template = client.template(&digest).await;
        assert_eq!(
            (template.state(), template.zygote_pid),
            (TemplateState::Warm, before)
        );
        assert!(template.last_error.contains("the gate is shut"));
        assert!(
            client
                .exit_of(function(&digest, "value", ()))
                .await
                .success()
        );
        std::fs::remove_file(&gate).unwrap();
        let after = client.reload(&digest).await.unwrap();
        assert_ne!(after.zygote_pid, before);
    });
}

#[test]
fn a_reload_warms_a_cold_template_and_starts_go_on_meanwhile() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let template = client.reload(&digest).await.unwrap();
        assert_eq!(template.state(), TemplateState::Warm);
        let starts = async {
            for _ in 0..30 {
                assert!(
                    client
                        .exit_of(function(&digest, "value", ()))
                        .await
                        .success()
                );
            }
        };
        let reloads = async {
            for _ in 0..5 {
                client.reload(&digest).await.unwrap();
            }
        };
        tokio::join!(starts, reloads);
        let template = client.template(&digest).await;
        assert_eq!((template.workers_started, template.workers_failed), (30, 0));
    });
}

#[test]
fn a_configured_template_is_read_anew_from_its_path() {
    let setup = Setup::new();
    let path = setup.folder().join("program");
    programs::copy(&path);
    let config = format!("[templates.words]\nprogram = {path:?}\npreloads = []");
    check(setup.config(&config), async |daemon| {
        let client = daemon.connect().await;
        client.warm("words").await.unwrap();
        let before = client.template("words").await;
        // A rebuilt program that can't be a zygote: the old one stays until then.
        let rebuilt = daemon.path("rebuilt");
        let other = std::fs::read(programs::program("test-keeper")).unwrap();
        programs::install(&other, &rebuilt, 0o755);
        std::fs::rename(&rebuilt, &path).unwrap();
        refused(client.reload("words").await, Reason::ZygoteFailed);
        let template = client.template("words").await;
        assert_eq!(template.zygote_pid, before.zygote_pid);
        // Gone altogether.
        std::fs::remove_file(&path).unwrap();
        refused(client.reload("words").await, Reason::ProgramRefused);
        assert!(
            client
                .exit_of(function("words", "value", ()))
                .await
                .success()
        );
        // And back, as another build: a start notices by itself.
        let rebuilt = daemon.path("rebuilt");
        rebuild(&rebuilt);
        std::fs::rename(&rebuilt, &path).unwrap();
        let (output, exit) = client.output_of(function("words", "build", ())).await;
        assert!(exit.success() && output.trim() == BUILDS[1], "{output}");
        let after = client.template("words").await;
        assert_ne!(after.digest, before.digest);
        eventually_async("the old zygote leaves", async || {
            (!lives(before.zygote_pid)).then_some(())
        })
        .await;
    });
}

#[test]
fn the_built_in_template_can_be_reloaded() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let before = client.template("command").await.zygote_pid;
        assert_ne!(client.reload("command").await.unwrap().zygote_pid, before);
        eventually_async("the old one leaves", async || {
            (!lives(before)).then_some(())
        })
        .await;
    });
}
