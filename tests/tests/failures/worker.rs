//! A worker ends: its exact status arrives, and nothing of its group is left.

use super::{FEATURES, obedient};
use mpfork_tests::harness::process::lives;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Run, Setup, check, eventually, eventually_async};

/// Every way to end is told exactly, with each kernel feature and without.
fn exact_statuses(setup: Setup) {
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        for (script, expected) in [
            ("exit 0", 0),
            ("exit 255", 255),
            ("kill -KILL $$", -9),
            ("kill -TERM $$", -15),
            ("kill -64 $$", -64),
        ] {
            let exit = client.exit_of(shell(script)).await;
            assert_eq!(exit.exitcode(), expected, "{script}: {exit}");
            assert!(exit.rusage.is_some());
        }
        let script = "sleep 603 >/dev/null 2>&1 & echo $!; exit 9";
        let (mut run, line) = client.run_until_line(shell(script)).await;
        let exit = run.exit().await;
        assert_eq!((exit.exitcode(), exit.leftovers.len()), (9, 1), "{exit:?}");
        let left: i32 = line.parse().unwrap();
        eventually("it is gone", || (!lives(left)).then_some(()));
        let mut run = obedient(&client, 4).await;
        assert!(client.signal(run.id(), 10, true).await.unwrap());
        assert_eq!(run.exit().await.exitcode(), 4);
        // And a worker whose owner is gone.
        let owner = daemon.connect().await;
        let run = obedient(&owner, 4).await;
        drop(owner);
        drop_connection(run).await;
        eventually_async("it is ended", async || {
            client.list_workers(false).await.is_empty().then_some(())
        })
        .await;
    });
}

/// A connection ends when all that belongs to it is dropped, and its tasks have seen that.
async fn drop_connection(run: Run) {
    drop(run);
    tokio::task::yield_now().await;
}

#[test]
fn a_workers_end_is_told_exactly() {
    exact_statuses(Setup::new());
}

#[test]
fn a_workers_end_is_told_exactly_without_exit_info() {
    exact_statuses(Setup::new().without_feature("exit-info"));
}

#[test]
fn a_workers_end_is_told_exactly_without_group_signal() {
    exact_statuses(Setup::new().without_feature("group-signal"));
}

#[test]
fn a_workers_end_is_told_exactly_without_peer_pidfd() {
    exact_statuses(Setup::new().without_feature("peer-pidfd"));
}

#[test]
fn a_workers_end_is_told_exactly_without_any() {
    let without = |setup: Setup, feature: &&str| setup.without_feature(feature);
    exact_statuses(FEATURES.iter().fold(Setup::new(), without));
}
