//! mpforkd where nothing can be forked: workers are executed afresh, and everything says so.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::spec::{command, function, main, shell};
use mpfork_tests::harness::{Daemon, Setup, check, refused};

fn without_fork(test: impl AsyncFnOnce(&Daemon)) {
    // Spares would be forked.
    let setup = Setup::new().without_feature("fork");
    check(setup.config("[spares]\nmin = 2\n"), test);
}

#[test]
fn functions_commands_and_main_are_run_and_what_made_them_is_told() {
    without_fork(async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        for spec in [
            function(&digest, "value", ()),
            main(&digest, &["code", "0"]),
            shell("exit 0"),
            command(&["true"]),
        ] {
            let mut run = client.run(spec).await;
            assert_eq!(run.started.way(), StartWay::Spawn);
            assert_eq!(run.exit().await.exitcode(), 0);
            let worker = client.get_worker(run.id()).await.unwrap();
            assert_eq!(worker.way(), StartWay::Spawn);
        }
        let template = client.template(&digest).await;
        let ways: Vec<_> = template.starts_by_way.iter().map(|s| s.way()).collect();
        assert_eq!(ways, [StartWay::Spawn]);
        assert_eq!(template.workers_started, 2);
        assert_eq!(template.way(), StartWay::Spawn);
        assert_eq!((template.preload_time, template.fork_time), (None, None));
        // There is nothing to fork it from.
        assert_eq!((template.spares_idle, template.spares_max), (0, 0));
        assert!(template.preload_reports.is_empty(), "{template:?}");
        let status = client.status().await;
        let fork = status.features.iter().find(|f| f.name == "fork").unwrap();
        assert!(!fork.available);
        assert!(fork.detail.contains("by spawn"), "{}", fork.detail);
    });
}

#[test]
fn workers_of_one_template_are_processes_of_its_program() {
    without_fork(async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let (mut run, _) = client.run_until_line(function(&digest, "hang", ())).await;
        let exe = std::fs::read_link(format!("/proc/{}/exe", run.pid())).unwrap();
        let zygote = client.template(&digest).await.zygote_pid;
        assert_eq!(
            exe,
            std::fs::read_link(format!("/proc/{zygote}/exe")).unwrap()
        );
        client.signal(run.id(), 12, false).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -12);
        // What can't be applied is refused as it is to a fork.
        let mut spec = function(&digest, "value", ());
        spec.state.get_or_insert_default().cwd_path = Some(b"/nowhere/at/all".to_vec());
        let refused = refused(client.try_run(spec).await, Reason::StartStateFailed);
        assert_eq!(refused.get("what"), "working directory", "{refused}");
    });
}
