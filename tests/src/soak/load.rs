//! Clients that start workers, several at a time, until they have started enough.

use super::mix::Ending;
use mpfork::api::{Client, Program, TemplateRequest};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tokio::task::JoinSet;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) socket: PathBuf,
    /// By all clients together.
    pub(super) starts: u64,
    pub(super) clients: u64,
    /// Of each client.
    pub(super) outstanding: u64,
    pub(super) seed: u64,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn starts(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    fn add(&mut self, other: Self) {
        for (kind, count) in other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
}

impl Load {
    /// Starts them all; fails when one of them did not end as it must.
    pub(super) async fn run(&self) -> anyhow::Result<Tally> {
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            let starts =
                self.starts / self.clients + u64::from(client < self.starts % self.clients);
            let random = StdRng::seed_from_u64(self.seed.wrapping_add(client));
            clients.spawn(one(self.socket.clone(), starts, self.outstanding, random));
        }
        let mut tally = Tally::default();
        while let Some(done) = clients.join_next().await {
            tally.add(done??);
        }
        Ok(tally)
    }
}

/// The digest of this program's template.
pub(super) async fn template(client: &Client) -> anyhow::Result<String> {
    let request = TemplateRequest::new(Program::own()?);
    Ok(client.register_template(&request).await?.digest)
}

async fn one(
    socket: PathBuf,
    starts: u64,
    outstanding: u64,
    mut random: StdRng,
) -> anyhow::Result<Tally> {
    let client = Client::connect(Some(&socket)).await?;
    let template = template(&client).await?;
    let mut tally = Tally::default();
    let mut running = JoinSet::new();
    for _ in 0..starts {
        if running.len() as u64 >= outstanding
            && let Some(done) = running.join_next().await
        {
            done??;
        }
        let ending = Ending::random(&mut random);
        *tally.0.entry(ending.kind()).or_default() += 1;
        let (client, template) = (client.clone(), template.clone());
        running.spawn(async move { ending.run(&client, &template).await });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(tally)
}
