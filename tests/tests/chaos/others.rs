//! Workers, zygotes and clients are killed.

use super::load::Load;
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{TemplateState, exit};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, eventually_async, rounds, seed};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CLIENTS: u32 = 4;
const STARTS: u32 = 60;
/// A template whose zygotes die five times in a row is failed.
const ZYGOTES: u32 = 4;

#[test]
fn deaths_of_workers_zygotes_and_clients_are_told_and_leave_nothing() {
    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..rounds(3) {
        let seed = random.random();
        check(Setup::new(), async |daemon| one_round(daemon, seed).await);
    }
}

/// A client that starts workers, which do not end, until it is killed.
struct Victim(Child);

impl Victim {
    fn of(daemon: &Daemon) -> Self {
        let mut command = Command::new(program("mpfork-soak"));
        command.arg("--victim").arg(daemon.socket());
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was killed.
#[derive(Debug, Default)]
struct Killed {
    workers: HashSet<u64>,
    zygotes: u32,
    clients: u32,
}

async fn one_round(daemon: &Daemon, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let watcher = daemon.connect().await;
    watcher.warm("command").await.unwrap();
    let features = watcher.status().await.features;
    let exit_info = features
        .iter()
        .any(|f| f.name == "exit-info" && f.available);
    let local = tokio::task::LocalSet::new();
    let (outcomes, killed) = local
        .run_until(async {
            let load = Load::begin(daemon, CLIENTS, STARTS, random.random()).await;
            let mut killed = Killed::default();
            let mut victims = [Victim::of(daemon), Victim::of(daemon)];
            while load.done() < CLIENTS * STARTS {
                tokio::time::sleep(Duration::from_millis(random.random_range(0..40))).await;
                match random.random_range(0..10) {
                    0..2 if killed.zygotes < ZYGOTES => {
                        killed.zygotes += u32::from(kill_zygote(&watcher).await);
                    }
                    0..4 => {
                        victims[random.random_range(0..2)] = Victim::of(daemon);
                        killed.clients += 1;
                    }
                    _ => killed
                        .workers
                        .extend(kill_worker(&watcher, &mut random).await),
                }
            }
            (load.outcomes().await, killed)
        })
        .await;
    println!(
        "killed {} workers, {} zygotes, {} clients",
        killed.workers.len(),
        killed.zygotes,
        killed.clients
    );
    let mut workers = HashSet::new();
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => {
                assert!(workers.insert(outcome.worker), "one worker for two starts");
                let exit = &outcome.exit;
                match exit.how {
                    Some(exit::How::Code(code)) => assert_eq!(code, i32::from(outcome.code)),
                    // Reaped by its zygote, which was killed before it could tell.
                    Some(exit::How::Lost(_)) => assert!(!exit_info && killed.zygotes > 0, "{exit}"),
                    _ => {
                        assert_eq!(exit.exitcode(), -9, "{exit}");
                        assert!(killed.workers.contains(&outcome.worker), "{exit}");
                    }
                }
            }
            Err(status) => {
                let problem = Problem::from_status(&status).unwrap_or_else(|| panic!("{status:?}"));
                let expected = [Reason::ZygoteFailed, Reason::WorkerLost];
                assert!(expected.contains(&problem.reason), "{problem:?}");
            }
        }
    }
    nothing_is_left(daemon, &watcher).await;
}

async fn kill_zygote(watcher: &TestClient) -> bool {
    let template = watcher.template("command").await;
    let warm = template.state() == TemplateState::Warm && lives(template.zygote_pid);
    if warm {
        process::kill(template.zygote_pid);
    }
    warm
}

/// Kills one, and tells which if it was there.
async fn kill_worker(watcher: &TestClient, random: &mut StdRng) -> Option<u64> {
    let workers = watcher.list_workers(false).await;
    let id = workers.choose(random)?.worker?;
    let group = random.random();
    // One that has ended long ago may be forgotten.
    let there = watcher.signal(id, 9, group).await.unwrap_or(false);
    there.then_some(id.counter)
}

async fn nothing_is_left(daemon: &Daemon, watcher: &TestClient) {
    eventually_async(
        "all workers have ended, and their processes are gone",
        async || {
            let status = watcher.status().await;
            let totals = status.workers.unwrap();
            let zygotes: Vec<i32> = status.templates.iter().map(|t| t.zygote_pid).collect();
            let mut left = process::descendants(daemon.pid());
            left.retain(|process| !zygotes.contains(&process.pid));
            let spares: u32 = status.templates.iter().map(|t| t.spares_idle).sum();
            let quiet =
                totals.running == 0 && status.connections == 1 && left.len() == spares as usize;
            (quiet && totals.started == totals.exited).then_some(())
        },
    )
    .await;
    assert_eq!(watcher.in_use("workers").await, 0);
    assert_eq!(watcher.in_use("waiting_starts").await, 0);
}
