//! Clients in processes of their own that are killed amid their starts.

use super::{load, mix};
use mpfork::api::Client;
use rand::Rng as _;
use rand::rngs::StdRng;
use std::cell::Cell;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;

/// How many starts a victim has under way at any time.
const UNDER_WAY: usize = 4;
/// So many of its workers run at most.
const WORKERS: usize = 20;
/// It is killed within so many milliseconds.
const LONGEST: u64 = 400;

/// Starts workers that do not end, until it is killed: there are always starts under way.
pub(super) async fn be(socket: &Path) -> anyhow::Result<()> {
    let client = Client::connect(Some(socket)).await?;
    let template = load::template(&client).await?;
    let mut starts = JoinSet::new();
    let mut workers = std::collections::VecDeque::new();
    loop {
        while starts.len() < UNDER_WAY {
            let request = mix::hanging(&template)?;
            let client = client.clone();
            starts.spawn(async move { client.run_worker(&request).await });
        }
        if let Some(started) = starts.join_next().await {
            workers.push_back(started??);
        }
        if workers.len() > WORKERS
            && let Some(oldest) = workers.pop_front()
        {
            client.signal_worker(oldest.started.worker, 9, true).await?;
        }
    }
}

/// A process that is ended with this.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // It has not been waited for, so it is there.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has one victim after the other; returns only when one can't be had.
pub(super) async fn kill_some<T>(
    socket: &Path,
    mut random: StdRng,
    killed: &Cell<u64>,
) -> anyhow::Result<T> {
    let program = std::env::current_exe()?;
    loop {
        let victim = Command::new(&program)
            .arg("--victim")
            .arg(socket)
            .stdin(Stdio::null())
            .spawn()?;
        let victim = Victim(victim);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LONGEST))).await;
        drop(victim);
        killed.set(killed.get() + 1);
    }
}
