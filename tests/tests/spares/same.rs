//! What a spare is to its program: the same as a worker that was forked for its start.

use super::{ALWAYS, COUNT, NEVER, spares};
use mpfork_proto::v1::StartWay;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Setup, check};

/// What a shell sees of the state it was started with.
const STATE: &str = "pwd; umask; ulimit -Sa; ulimit -Ha; env | sort; nice; \
    grep -E '^(Sig[BIC]|Shd|Cpus_allowed_list|NoNewPrivs|Threads|Uid|Gid)' /proc/self/status; \
    cat /proc/self/oom_score_adj /proc/self/cgroup; ls -l /proc/self/fd | sed 's/.*[0-9] \\([0-9]* ->\\)/\\1/' | grep -vE 'pipe|/proc/'";
#[test]
fn what_a_spare_starts_with_is_what_a_fork_starts_with() {
    let mut seen = Vec::new();
    for config in [ALWAYS, NEVER] {
        check(Setup::new().config(config), async |daemon| {
            let client = daemon.connect().await;
            client.exit_of(shell("true")).await;
            let way = if config == ALWAYS {
                spares(&client, "command", COUNT).await;
                StartWay::Spare
            } else {
                StartWay::Fork
            };
            let (mut run, _) = client.run_until_line(shell("echo; read x")).await;
            assert_eq!(run.started.way(), way);
            client.signal(run.id(), 9, true).await.unwrap();
            run.exit().await;
            let (output, exit) = client.output_of(shell(STATE)).await;
            assert!(exit.success(), "{exit}: {output}");
            seen.push(output);
        });
    }
    assert!(seen[0].lines().count() > 30, "{}", seen[0]);
    assert_eq!(seen[0], seen[1]);
}
