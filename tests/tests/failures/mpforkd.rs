//! mpforkd is killed.

use super::obedient;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::TemplateState;
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{
    Daemon, Folder, Setup, block_on, check, eventually, eventually_async, refused,
};

#[test]
fn when_mpforkd_is_killed_zygotes_finish_and_the_next_one_starts() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        let client = daemon.connect().await;
        let mut run = obedient(&client, 3).await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let idle = client.template(&digest).await.zygote_pid;
        daemon.signal(rustix::process::Signal::KILL);
        // The client learns of it: a broken connection, not silence.
        let status = run.try_exit().await.unwrap_err();
        assert!(mpfork_proto::problem::Problem::from_status(&status).is_none());
        eventually("an idle zygote leaves", || (!lives(idle)).then_some(()));
        assert!(lives(run.pid()) && lives(zygote), "what runs goes on");
        // The next one takes the same socket over while the old one's workers run.
        let next = Setup::within(&folder).start();
        let other = next.connect().await;
        assert_ne!(other.handshake.instance, client.handshake.instance);
        refused(other.get_worker(run.id()).await, Reason::UnknownWorker);
        assert!(other.exit_of(shell("exit 0")).await.success());
        process::signal(run.pid(), rustix::process::Signal::USR1);
        eventually("the zygote leaves after its last worker", || {
            (!lives(zygote)).then_some(())
        });
        let ended = daemon.ended();
        assert_eq!(ended.how, "signal 9");
        assert_eq!(ended.left, Vec::<String>::new());
        drop(other);
        next.finish();
    });
}

#[test]
fn when_mpforkd_is_killed_while_preloading_its_zygote_is_killed_too() {
    let folder = Folder::new();
    check(Setup::within(&folder), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        let warm = client.warm(&digest);
        let kill = async {
            eventually_async("it preloads", async || {
                let state = client.template(&digest).await;
                (state.state() == TemplateState::Warming && state.reason.contains("faulty"))
                    .then_some(())
            })
            .await;
            daemon.signal(rustix::process::Signal::KILL);
        };
        let (warm, ()) = tokio::join!(warm, kill);
        assert!(warm.is_err());
        let ended = daemon.ended();
        assert_eq!(ended.left, Vec::<String>::new(), "the gate is still shut");
    });
}

#[test]
fn the_crate_tells_a_lost_daemon_from_none() {
    let setup = Setup::new();
    let socket = setup.folder().join("mpforkd.sock");
    let none = block_on(mpfork::api::Client::connect(Some(&socket)));
    assert!(matches!(none, Err(mpfork::Error::NoServer(_))), "{none:?}");
    check(setup, async |daemon: &Daemon| {
        let client = mpfork::api::Client::connect(Some(daemon.socket()))
            .await
            .unwrap();
        client.get_status().await.unwrap();
        let _ = daemon.kill();
        let lost = client.get_status().await;
        assert!(
            matches!(lost, Err(mpfork::Error::ServerLost { .. })),
            "{lost:?}"
        );
        client.ended().await;
        // The socket lies there, and nobody serves it.
        let none = mpfork::api::Client::connect(Some(daemon.socket())).await;
        assert!(matches!(none, Err(mpfork::Error::NoServer(_))), "{none:?}");
    });
}
