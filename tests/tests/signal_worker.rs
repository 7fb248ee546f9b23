//! `SignalWorker`: one process or its group, and none that is another's.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{SignalWorkerRequest, WorkerId};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::{command, shell};
use mpfork_tests::harness::{Setup, check, eventually, refused, refused_field};

#[test]
fn a_signal_reaches_the_worker_or_its_whole_group() {
    for setup in [Setup::new(), Setup::new().without_feature("group-signal")] {
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let script = "trap 'echo parent' USR1; (trap 'echo child' USR1; echo ready; \
                          while :; do sleep 0.01; done) & while :; do sleep 0.01; done";
            let mut spec = shell(script);
            // What the shell itself says of killed sleeps is of no interest.
            spec.name = "two".to_owned();
            let (mut run, line) = client.run_until_line(spec).await;
            assert_eq!(line, "ready");
            assert!(client.signal(run.id(), 10, false).await.unwrap());
            assert_eq!(run.line().await, "parent");
            assert!(client.signal(run.id(), 10, true).await.unwrap());
            let mut seen = Vec::new();
            while seen.len() < 2 {
                let line = run.line().await;
                if line == "parent" || line == "child" {
                    seen.push(line);
                }
            }
            seen.sort();
            assert_eq!(seen, ["child", "parent"]);
            assert!(client.signal(run.id(), 9, true).await.unwrap());
            assert_eq!(run.exit().await.exitcode(), -9);
        });
    }
}

#[test]
fn zero_only_asks_and_real_time_signals_pass() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        assert!(client.signal(run.id(), 0, false).await.unwrap());
        assert!(client.signal(run.id(), 0, true).await.unwrap());
        assert!(lives(run.pid()));
        assert!(client.signal(run.id(), 64, false).await.unwrap());
        assert_eq!(run.exit().await.exitcode(), -64);
    });
}

#[test]
fn a_stopped_worker_goes_on() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(command(&["sleep", "600"])).await;
        client.signal(run.id(), 19, true).await.unwrap();
        eventually("it is stopped", || {
            process::is_stopped(run.pid()).then_some(())
        });
        client.signal(run.id(), 18, true).await.unwrap();
        eventually("it goes on", || {
            (!process::is_stopped(run.pid())).then_some(())
        });
        client.signal(run.id(), 15, true).await.unwrap();
        assert_eq!(run.exit().await.exitcode(), -15);
    });
}

#[test]
fn one_that_has_ended_is_not_signalled() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut run = client.run(shell("exit 0")).await;
        run.exit().await;
        for group in [true, false] {
            assert!(!client.signal(run.id(), 9, group).await.unwrap());
        }
    });
}

#[test]
fn wrong_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let run = client.run(command(&["sleep", "600"])).await;
        for signal in [-1, 65, i32::MAX, i32::MIN] {
            refused_field(client.signal(run.id(), signal, false).await, "signal");
        }
        let request = SignalWorkerRequest {
            worker: None,
            signal: 9,
            group: false,
        };
        refused_field(client.workers().signal_worker(request).await, "worker");
        let nobody = WorkerId {
            counter: 999,
            ..run.id()
        };
        refused(client.signal(nobody, 9, false).await, Reason::UnknownWorker);
        assert!(lives(run.pid()));
    });
}
