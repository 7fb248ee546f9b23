//! Starts that go on while things die.

use mpfork_proto::v1::Exit;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Daemon, TestClient};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::cell::Cell;
use std::rc::Rc;
use tokio::task::JoinSet;
use tonic::Status;

/// What became of one start.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) worker: u64,
    pub(crate) exit: Exit,
}

/// Clients of which each starts one worker after the other.
#[derive(Debug)]
pub(crate) struct Load {
    clients: JoinSet<Vec<Result<Outcome, Status>>>,
    done: Rc<Cell<u32>>,
}

impl Load {
    /// To be made and driven within a `LocalSet`.
    pub(crate) async fn begin(daemon: &Daemon, clients: u32, starts: u32, seed: u64) -> Self {
        let done = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        for number in 0..clients {
            let client = daemon.connect().await;
            let random = StdRng::seed_from_u64(seed.wrapping_add(number.into()));
            set.spawn_local(many(client, starts, random, Rc::clone(&done)));
        }
        Self { clients: set, done }
    }

    /// How many starts have come out.
    pub(crate) fn done(&self) -> u32 {
        self.done.get()
    }

    /// All that became of it.
    pub(crate) async fn outcomes(self) -> Vec<Result<Outcome, Status>> {
        self.clients
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

async fn many(
    client: TestClient,
    starts: u32,
    mut random: StdRng,
    done: Rc<Cell<u32>>,
) -> Vec<Result<Outcome, Status>> {
    let mut outcomes = Vec::new();
    for _ in 0..starts {
        let (code, millis) = (random.random(), random.random_range(0..30));
        outcomes.push(one(&client, code, millis).await);
        done.set(done.get() + 1);
    }
    outcomes
}

async fn one(client: &TestClient, code: u8, millis: u32) -> Result<Outcome, Status> {
    let script = format!("sleep 0.{millis:03}; exit {code}");
    let mut run = client.try_run(shell(&script)).await?;
    Ok(Outcome {
        code,
        worker: run.id().counter,
        exit: run.try_exit().await?,
    })
}
