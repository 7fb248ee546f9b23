//! Connections that are silent, broken, hostile or flooding: each is its own trouble, and the others
//! go on being served.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

mod floods;
mod half_open;
mod malformed;
mod raw;
mod silent;

use mpfork_tests::harness::process::open_descriptors;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Daemon, TestClient, eventually_async};

/// Others are served as ever.
async fn serves(client: &TestClient) {
    assert_eq!(client.exit_of(shell("exit 3")).await.exitcode(), 3);
}

/// How many descriptors the daemon has when nothing runs; those of the last few workers are kept for a
/// while.
async fn settled(daemon: &Daemon, client: &TestClient) -> usize {
    for _ in 0..70 {
        serves(client).await;
    }
    open_descriptors(daemon.pid())
}

/// Everybody but this client is gone, and with them what they had.
async fn alone(daemon: &Daemon, client: &TestClient, descriptors: usize) {
    eventually_async("the others are gone", async || {
        let open = open_descriptors(daemon.pid());
        let connections = client.in_use("connections").await;
        (connections == 1 && open <= descriptors).then_some(())
    })
    .await;
}
