//! No more processes may be made.

use mpfork_proto::reason::Reason;
use mpfork_tests::harness::cgroup::NoMoreProcesses;
use mpfork_tests::harness::spec::{function, shell};
use mpfork_tests::harness::{Setup, check, eventually_async, refused};

#[test]
fn where_no_process_can_be_made_starts_are_refused_and_all_else_is_served() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let Some(limit) = NoMoreProcesses::of(daemon.pid()) else {
            eprintln!("skipped: processes can't be limited here");
            return;
        };
        // Registering reads the program on another thread, which is there already.
        let digest = client.test_template(&[]).await;
        for _ in 0..3 {
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
            assert_eq!(problem.get("limit"), "processes", "{problem:?}");
        }
        refused(client.warm(&digest).await, Reason::LimitReached);
        assert_eq!(client.status().await.workers.unwrap().running, 0);
        limit.lift();
        eventually_async("there is room again", async || {
            let mut run = client.try_run(shell("exit 6")).await.ok()?;
            assert_eq!(run.exit().await.exitcode(), 6);
            Some(())
        })
        .await;
        // Asked for by its name: a start would be refused once more until the pause is over.
        client.warm(&digest).await.unwrap();
        let exit = client.exit_of(function(&digest, "value", ())).await;
        assert!(exit.success(), "{exit}");
    });
}
