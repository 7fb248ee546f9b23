//! `GetStatus`: the page people keep open.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::DrainRequest;
use mpfork_tests::harness::spec::{command, function, shell};
use mpfork_tests::harness::{Setup, check, eventually_async, process, refused};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

#[test]
fn the_daemon_describes_itself() {
    let setup = Setup::new().config("[limits]\nworkers = 77\ntemplates = 9");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let status = client.status().await;
        assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(status.pid, daemon.pid());
        assert_eq!(status.socket, daemon.socket().as_os_str().as_bytes());
        assert_eq!(status.instance, client.handshake.instance);
        assert_eq!(status.uid, rustix::process::geteuid().as_raw());
        assert!(!status.shutting_down);
        assert_eq!(status.connections, 1);
        let uptime = Duration::try_from(status.uptime.unwrap()).unwrap();
        assert!(uptime < Duration::from_secs(90));
        let limit = |name: &str| {
            let limit = status.limits.iter().find(|limit| limit.name == name);
            let limit = limit.unwrap_or_else(|| panic!("{name}: {status:?}"));
            (limit.value, limit.used)
        };
        assert_eq!(limit("workers"), (77, Some(0)));
        assert_eq!(limit("templates"), (9, Some(1)));
        assert_eq!(limit("connections").1, Some(1));
        assert_eq!(limit("waiting_starts").1, Some(0));
        for name in [
            "workers_per_template",
            "retained_exits",
            "descriptor_credit",
        ] {
            assert!(limit(name).0 > 0);
        }
        assert_eq!(limit("worker_files").1, Some(0));
        let used = limit("open_files").1.unwrap();
        assert!(used > 3 && used < 100, "{used}");
        let _second = daemon.connect().await;
        assert_eq!(client.status().await.connections, 2);
    });
}

#[test]
fn workers_are_counted() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("exit 0")).await;
        client.exit_of(shell("exit 1")).await;
        client
            .try_run(command(&["/nowhere/at/all"]))
            .await
            .unwrap_err();
        let mut sleeping = client.run(command(&["sleep", "600"])).await;
        let totals = client.status().await.workers.unwrap();
        assert_eq!(
            (totals.running, totals.started, totals.exited, totals.failed),
            (1, 3, 2, 1)
        );
        let template = client.template("command").await;
        assert_eq!((template.workers_running, template.workers_failed), (1, 1));
        client.signal(sleeping.id(), 9, false).await.unwrap();
        sleeping.exit().await;
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.running, totals.exited), (0, 3));
    });
}

#[test]
fn each_start_that_gives_no_worker_is_counted_whatever_it_was_refused_for() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut malformed = shell("exit 0");
        malformed.time_limit = Some(prost_types::Duration::default());
        refused(client.try_run(malformed).await, Reason::BadRequest);
        let known = shell("exit 0");
        let mut another = shell("exit 1");
        another.request_id.clone_from(&known.request_id);
        client.exit_of(known).await;
        refused(client.try_run(another).await, Reason::BadRequest);
        refused(
            client.try_run(command(&["/nowhere/at/all"])).await,
            Reason::ExecFailed,
        );
        let drain = DrainRequest::default();
        drop(client.admin().drain(drain).await.unwrap());
        refused(client.try_run(shell("exit 0")).await, Reason::Draining);
        assert_eq!(client.status().await.workers.unwrap().failed, 4);
        assert_eq!(client.template("command").await.workers_failed, 4);
    });
}

#[test]
fn features_that_are_switched_off_are_told_with_what_is_done_without() {
    let setup = Setup::new()
        .without_feature("exit-info")
        .without_feature("peer-pidfd");
    check(setup, async |daemon| {
        let status = daemon.connect().await.status().await;
        for name in ["exit-info", "group-signal", "peer-pidfd"] {
            let feature = status.features.iter().find(|f| f.name == name).unwrap();
            if name == "group-signal" {
                assert_eq!(feature.available, feature.detail.is_empty());
            } else {
                assert!(!feature.available);
                assert!(feature.detail.starts_with("switched off; without it"));
            }
        }
    });
}

#[test]
fn strangers_are_reaped_and_counted() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        // A child that leaves the worker's group and outlives it: nobody's, so mpforkd's.
        let (mut run, line) = client
            .run_until_line(shell("setsid sh -c 'echo $$; exec sleep 600' & wait"))
            .await;
        let stranger: i32 = line.parse().unwrap();
        client.signal(run.id(), 9, false).await.unwrap();
        run.exit().await;
        eventually_async("mpforkd is its parent", async || {
            (process::see(stranger)?.parent == daemon.pid()).then_some(())
        })
        .await;
        process::kill(stranger);
        eventually_async("it is reaped and counted", async || {
            let counted = client.status().await.strangers_reaped >= 1;
            (counted && process::see(stranger).is_none()).then_some(())
        })
        .await;
    });
}

#[test]
fn descriptors_come_back_when_work_is_done() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let round = async || {
            for _ in 0..100 {
                assert!(
                    client
                        .exit_of(function(&digest, "value", ()))
                        .await
                        .success()
                );
            }
        };
        // The first round fills what is kept on purpose: the pidfds of those that ended last.
        round().await;
        let before = process::open_descriptors(daemon.pid());
        let zygote = client.template(&digest).await.zygote_pid;
        let zygote_before = process::open_descriptors(zygote);
        round().await;
        for _ in 0..20 {
            let other = daemon.connect().await;
            other.exit_of(shell("exit 0")).await;
        }
        eventually_async("mpforkd's descriptors are back", async || {
            // The built-in zygote has come meanwhile: its link, its output and little else.
            (process::open_descriptors(daemon.pid()) <= before + 4).then_some(())
        })
        .await;
        eventually_async("its zygote's are back", async || {
            (process::open_descriptors(zygote) <= zygote_before).then_some(())
        })
        .await;
    });
}
