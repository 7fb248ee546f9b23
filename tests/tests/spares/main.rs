//! Spares: workers forked ahead of their starts, which nobody can tell from others.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

mod dropped;
mod refilled;
mod replaced;
mod same;

use mpfork_tests::harness::process::{self, Seen};
use mpfork_tests::harness::{Daemon, TestClient, eventually_async};

/// What these tests configure for spares.
const COUNT: usize = 4;
const ALWAYS: &str = "[spares]\nmin = 4\n";
const NEVER: &str = "[limits]\nspares = 0\n";

/// Waits until so many wait for an assignment; their processes.
async fn spares(client: &TestClient, template: &str, count: usize) -> Vec<Seen> {
    eventually_async("there are spares", async || {
        let template = client.template(template).await;
        let children = process::children(template.zygote_pid);
        let idle = usize::try_from(template.spares_idle).unwrap();
        (idle == count && children.len() == count).then_some(children)
    })
    .await
}

/// A client, a template, and the spares it has by [`ALWAYS`].
async fn with_spares(daemon: &Daemon) -> (TestClient, String, Vec<Seen>) {
    let client = daemon.connect().await;
    let digest = client.test_template(&[]).await;
    client.warm(&digest).await.unwrap();
    let waiting = spares(&client, &digest, COUNT).await;
    (client, digest, waiting)
}

fn stop(spares: &[Seen]) {
    for spare in spares {
        process::stop(spare.pid);
    }
}

async fn gone(what: &str, spares: &[Seen]) {
    eventually_async(what, async || {
        let lives = spares.iter().any(|spare| process::lives(spare.pid));
        (!lives).then_some(())
    })
    .await;
}
