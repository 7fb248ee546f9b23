//! Templates that can not be warmed, or not now.

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::TemplateState;
use mpfork_tests::harness::spec::function;
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused, template};
use std::os::unix::fs::PermissionsExt;

/// The test program with this fault can't be warmed, for this reason; nor can workers be started.
async fn faulty(client: &TestClient, fault: &str, reason: Reason) -> Problem {
    let digest = client.test_template(&[("TEST_FAULT", fault)]).await;
    let problem = refused(client.warm(&digest).await, reason);
    assert_eq!(problem.get("template"), "test-program");
    let started = client.try_run(function(&digest, "value", ())).await;
    refused(started, reason);
    let template = client.template(&digest).await;
    assert_eq!(template.state(), TemplateState::Backoff, "{template:?}");
    assert_eq!(template.last_error, problem.message);
    assert_eq!(template.reason, problem.message);
    assert_eq!(template.zygote_pid, 0);
    problem
}

pub(super) fn preload_failed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let problem = faulty(&client, "chain", Reason::PreloadFailed).await;
        assert_eq!(problem.get("preload"), "faulty");
        assert!(problem.get("message").contains("the list can't be read"));
        assert!(
            problem.get("trace").contains("invalid digit"),
            "{problem:?}"
        );
        let problem = faulty(&client, "panic", Reason::PreloadFailed).await;
        assert!(problem.get("message").contains("no way"), "{problem:?}");
        assert!(problem.get("trace").contains("preloads.rs:"), "{problem:?}");
    });
}

pub(super) fn preload_timed_out() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let problem = faulty(&client, "hang", Reason::PreloadTimedOut).await;
        assert_eq!(problem.get("preload"), "hanging");
        assert_eq!(problem.get("limit"), "300ms");
    });
    // The configuration's limit holds where the preload declares none.
    let setup = Setup::new().config("[timeouts]\npreload = \"1s\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let problem = refused(client.warm(&digest).await, Reason::PreloadTimedOut);
        assert_eq!(problem.get("preload"), "faulty");
        assert_eq!(problem.get("limit"), "1s");
    });
}

pub(super) fn zygote_has_threads() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let problem = faulty(&client, "thread", Reason::ZygoteHasThreads).await;
        assert_eq!(problem.get("threads"), "left-over");
        assert_eq!(problem.get("preload"), "faulty");
        // Before it could become a zygote.
        let problem = faulty(&client, "early-thread", Reason::ZygoteHasThreads).await;
        assert_eq!(problem.get("threads"), "early");
        // Later, when it is to fork.
        let digest = client.test_template(&[("TEST_FAULT", "late-thread")]).await;
        let started = client.try_run(function(&digest, "value", ())).await;
        let problem = refused(started, Reason::ZygoteHasThreads);
        assert_eq!(problem.get("threads"), "late");
        assert_eq!(client.status().await.workers.unwrap().running, 0);
    });
}

pub(super) fn zygote_failed() {
    let setup = Setup::new().config("[timeouts]\nhello = \"2s\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let problem = faulty(&client, "early-exit", Reason::ZygoteFailed).await;
        assert!(
            problem.get("message").contains("exit code 3"),
            "{problem:?}"
        );
        assert_eq!(problem.get("output"), "leaving early");
        let problem = faulty(&client, "abort", Reason::ZygoteFailed).await;
        assert!(problem.get("message").contains("signal 6"), "{problem:?}");
        let problem = faulty(&client, "exit", Reason::ZygoteFailed).await;
        assert!(
            problem.get("message").contains("exit code 5"),
            "{problem:?}"
        );
        let problem = faulty(&client, "silent", Reason::ZygoteFailed).await;
        assert!(problem.get("message").contains("2s"), "{problem:?}");
        // One that dies whenever it is to fork.
        let digest = client
            .test_template(&[("TEST_FAULT", "die-before-fork")])
            .await;
        let started = client.try_run(function(&digest, "value", ())).await;
        let problem = refused(started, Reason::ZygoteFailed);
        assert!(!problem.get("message").is_empty());
    });
}

pub(super) fn program_refused() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let elf = std::fs::read("/bin/true").unwrap();
        let file = |name: &str, content: &[u8], mode: u32| {
            let path = daemon.path(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            path
        };
        for (path, detail) in [
            (file("script", b"#!/bin/sh\n", 0o755), "no ELF"),
            (file("cut", &elf[..200], 0o755), "no ELF"),
            (file("plain", &elf, 0o644), "not executable"),
            (file("set-uid", &elf, 0o4755), "set-user-id"),
            (daemon.folder().path().to_owned(), "no regular file"),
            ("/dev/null".into(), "no regular file"),
            // Programs that know nothing of mpfork: they are not even executed.
            ("/bin/sh".into(), "mpfork::freeze_support()"),
            ("/bin/true".into(), "mpfork::freeze_support()"),
        ] {
            let registered = client.try_register(&path, template(&path, &[])).await;
            let problem = refused(registered, Reason::ProgramRefused);
            assert_eq!(problem.get("program"), path.to_str().unwrap());
            assert!(problem.get("detail").contains(detail), "{problem:?}");
        }
    });
}

pub(super) fn template_busy() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let problem = refused(client.remove("command").await, Reason::BadRequest);
        assert_eq!(problem.get("field"), "template");
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let warm = client.warm(&digest);
        let reload = async {
            eventually_async("it is being warmed", async || {
                let state = client.template(&digest).await.state();
                (state == TemplateState::Warming).then_some(())
            })
            .await;
            let problem = refused(client.reload(&digest).await, Reason::TemplateBusy);
            assert!(!problem.get("detail").is_empty());
            std::fs::write(&gate, "").unwrap();
        };
        let (warm, ()) = tokio::join!(warm, reload);
        warm.unwrap();
    });
}
