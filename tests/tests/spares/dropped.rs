//! Spares that are not needed any more, or for which there is no room.

use super::{ALWAYS, COUNT, NEVER, gone, spares, stop, with_spares};
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Daemon, Setup, check, process};

#[test]
fn they_leave_with_their_zygote() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (client, digest, before) = with_spares(daemon).await;
        client.reload(&digest).await.unwrap();
        gone("those of the old zygote", &before).await;

        let before = spares(&client, &digest, COUNT).await;
        let strangers = |log: String| log.matches("reaped a stranger").count();
        process::kill(client.template(&digest).await.zygote_pid);
        gone("those of the killed zygote", &before).await;
        assert_eq!(strangers(daemon.log()), 0);

        client.exit_of(function(&digest, "value", ())).await;
        let before = spares(&client, &digest, COUNT).await;
        client.remove(&digest).await.unwrap();
        gone("those of the removed template", &before).await;
    });
}

#[test]
fn they_end_when_mpforkd_is_killed() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("true")).await;
        spares(&client, "command", COUNT).await;
        let ended = daemon.kill();
        assert!(ended.left.is_empty(), "{ended:?}");
    });
}

#[test]
fn there_are_no_more_than_the_limit_and_none_without_room() {
    let setup = Setup::new().config("[limits]\nspares = 3\n").config(ALWAYS);
    check(setup, async |daemon: &Daemon| {
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        client.warm(&digest).await.unwrap();
        let all = spares(&client, &digest, 3).await;
        assert_eq!(client.in_use("spares").await, 3);
        client.exit_of(shell("true")).await;
        client.exit_of(shell("true")).await;
        assert_eq!(client.template("command").await.spares_idle, 0);
        // The configuration is read again: there may be none.
        let files = async || {
            let limits = client.status().await.limits;
            let files = limits.iter().find(|limit| limit.name == "worker_files");
            files.unwrap().value
        };
        let before = files().await;
        let none = "[limits]\nspares = 0\n";
        std::fs::write(daemon.path("mpforkd.toml"), none).unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        gone("those that may not be", &all).await;
        assert_eq!(files().await, before + 6, "two of each");
        assert_eq!(client.exit_of(shell("true")).await.exitcode(), 0);
        assert_eq!(client.template(&digest).await.spares_idle, 0);
    });
}

#[test]
fn stopped_ones_end_when_they_are_not_needed_any_more() {
    check(Setup::new().config(ALWAYS), async |daemon| {
        let (_client, _, stopped) = with_spares(daemon).await;
        stop(&stopped);
        std::fs::write(daemon.path("mpforkd.toml"), NEVER).unwrap();
        daemon.signal(rustix::process::Signal::HUP);
        gone("those that may not be", &stopped).await;
    });
}
