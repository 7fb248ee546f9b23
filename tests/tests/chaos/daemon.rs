//! mpforkd itself is killed.

use super::load::Load;
use mpfork_proto::problem::Problem;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Folder, Setup, check, process, rounds, seed};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;

#[test]
fn a_daemon_killed_at_random_under_load_is_told_and_the_next_one_starts_clean() {
    let mut random = StdRng::seed_from_u64(seed());
    let folder = Folder::new();
    for _ in 0..rounds(5) {
        let (seed, after) = (random.random(), random.random_range(0..100));
        check(Setup::within(&folder), async |daemon| {
            let local = tokio::task::LocalSet::new();
            let outcomes = local.run_until(async {
                let load = Load::begin(daemon, 4, 1000, seed).await;
                // From before the first zygote is warm to many starts later.
                while load.done() < after {
                    tokio::task::yield_now().await;
                }
                daemon.signal(Signal::KILL);
                load.outcomes().await
            });
            let mut lost = 0;
            for outcome in outcomes.await {
                match outcome {
                    Ok(outcome) => assert_eq!(outcome.exit.exitcode(), i32::from(outcome.code)),
                    Err(status) => {
                        // The connection broke: nothing that the daemon would have said.
                        assert!(Problem::from_status(&status).is_none(), "{status:?}");
                        lost += 1;
                    }
                }
            }
            assert!(lost > 0);
            assert_eq!(daemon.gone().await.how, "signal 9");
            // What ran has ended, zygotes have left, and the socket is taken over.
            assert_eq!(daemon.ended().left, Vec::<String>::new());
            let next = Setup::within(&folder).start();
            let client = next.connect().await;
            assert_eq!(client.exit_of(shell("exit 4")).await.exitcode(), 4);
            let zygote = client.template("command").await.zygote_pid;
            assert_eq!(process::descendants(next.pid()).len(), 1, "{zygote}");
            drop(client);
            next.finish();
        });
    }
}
