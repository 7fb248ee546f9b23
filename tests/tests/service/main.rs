//! mpforkd as a service manager runs it: told of readiness and life, given its socket, asked to read its
//! configuration again, logging to the journal.
#![allow(clippy::unwrap_used)]

mod activation;
mod journal;
mod metrics;
mod notify;
mod reload;

use mpfork_tests::harness::Daemon;

/// Waits until the log has this text.
async fn logged(daemon: &Daemon, text: &str) -> String {
    mpfork_tests::harness::eventually_async(&format!("the log says {text:?}"), async || {
        Some(daemon.log()).filter(|log| log.contains(text))
    })
    .await
}
