//! A process is stopped, and perhaps goes on: it holds up nobody else.

use super::obedient;
use mpfork_proto::v1::{WorkerSpec, exit};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{Setup, check, eventually_async};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_stopped_zygote_holds_up_its_own_starts_only() {
    // It goes on before it is given up.
    let setup = Setup::new().config("[timeouts]\nfork = \"2m\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let mut running = obedient(&client, 6).await;
        let zygote = client.template("command").await.zygote_pid;
        process::stop(zygote);
        let waits = client.exit_of(shell("exit 5"));
        let others = async {
            eventually_async("the start waits", async || {
                (client.in_use("workers").await == 2).then_some(())
            })
            .await;
            for _ in 0..20 {
                let exit = client.exit_of(function(&digest, "value", ())).await;
                assert!(exit.success(), "{exit}");
            }
            // A worker that ends meanwhile is told when the zygote, its parent, goes on.
            client.signal(running.id(), 10, false).await.unwrap();
            process::resume(zygote);
            running.exit().await
        };
        let (waited, ended) = tokio::join!(waits, others);
        assert_eq!((waited.exitcode(), ended.exitcode()), (5, 6));
        assert_eq!(client.template("command").await.zygote_pid, zygote);
    });
}

#[test]
fn a_stopped_client_keeps_what_it_has_and_holds_up_nobody() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        // It starts workers that do not end, one after the other.
        let mut other = Command::new(program("mpfork-soak"))
            .arg("--victim")
            .arg(daemon.socket())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        let started = async || client.status().await.workers.unwrap().started;
        eventually_async("it has some", async || (started().await > 3).then_some(())).await;
        process::stop(pid);
        for _ in 0..50 {
            assert_eq!(client.exit_of(shell("exit 5")).await.exitcode(), 5);
        }
        let own = client.list_workers(false).await;
        assert!(!own.is_empty());
        assert!(
            own.iter()
                .all(|worker| worker.owner_pid == pid && lives(worker.pid))
        );
        // It goes on where it was.
        let before = started().await;
        process::resume(pid);
        let more = async || (started().await > before + 3).then_some(());
        eventually_async("it goes on", more).await;
        // Killed while it is stopped, it is gone like any other.
        process::stop(pid);
        other.kill().unwrap();
        other.wait().unwrap();
        eventually_async("its workers are ended", async || {
            client.list_workers(false).await.is_empty().then_some(())
        })
        .await;
    });
}

#[test]
fn a_stopped_daemon_holds_nobody_past_a_deadline() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let api = mpfork::api::Client::connect(Some(daemon.socket()))
            .await
            .unwrap();
        let mut run = obedient(&client, 3).await;
        process::stop(daemon.pid());
        // A caller's patience holds although nobody answers it.
        let patience = Duration::from_millis(100);
        let waiting = api.wait_worker(run.id(), None);
        let late = tokio::time::timeout(patience, waiting).await;
        assert!(late.is_err());
        let status = tokio::time::timeout(patience, api.get_status()).await;
        assert!(status.is_err());
        // The worker goes on, and can be signalled without the daemon.
        assert!(lives(run.pid()));
        let pidfd = run.pidfd.as_ref().unwrap();
        mpfork_sys::pidfd::signal(std::os::fd::AsFd::as_fd(pidfd), 10).unwrap();
        process::resume(daemon.pid());
        assert_eq!(run.exit().await.exitcode(), 3);
        api.get_status().await.unwrap();
    });
}

#[test]
fn a_start_past_its_deadline_is_not_begun() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let request = mpfork_proto::v1::RunWorkerRequest {
            spec: Some(function(&digest, "value", ())),
        };
        let mut late = tonic::Request::new(request);
        late.set_timeout(Duration::from_millis(500));
        let refused = client.workers().run_worker(late).await;
        mpfork_tests::harness::refused(refused, mpfork_proto::reason::Reason::DeadlineExceeded);
        eventually_async("it does not wait any more", async || {
            (client.in_use("waiting_starts").await == 0).then_some(())
        })
        .await;
        assert_eq!(client.in_use("workers").await, 0);
        std::fs::write(&gate, "").unwrap();
        let exit = client.exit_of(function(&digest, "value", ())).await;
        assert!(exit.success(), "{exit}");
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.started, totals.failed), (1, 1));
    });
}

#[test]
fn a_stopped_worker_is_ended_by_its_time_limit() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let limited = WorkerSpec {
            time_limit: spec::millis(500),
            ..shell("kill -STOP $$; exec sleep 600")
        };
        let mut run = client.run(limited).await;
        let exit = run.exit().await;
        assert!(matches!(exit.how, Some(exit::How::TimedOut(_))), "{exit}");
        assert_eq!(exit.exitcode(), -15, "it goes on to see TERM: {exit}");
    });
}
