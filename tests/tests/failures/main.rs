//! The table of failures: what dies or breaks, and what must happen.
#![allow(clippy::unwrap_used)]

mod client;
mod exhausted;
mod lost_answer;
mod mpforkd;
mod preload;
mod stopped;
mod worker;
mod zygote;

use mpfork_proto::v1::{Template, TemplateState};
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Run, TestClient, eventually_async};

const FEATURES: [&str; 3] = ["exit-info", "group-signal", "peer-pidfd"];

/// A worker that ends with this code once it is signalled with USR1, and says that it is ready.
async fn obedient(client: &TestClient, code: i32) -> Run {
    let script = format!("trap 'exit {code}' USR1; echo ready; while :; do sleep 0.01; done");
    client.run_until_line(shell(&script)).await.0
}

async fn when(client: &TestClient, template: &str, state: TemplateState) -> Template {
    eventually_async(&format!("{template} is {state:?}"), async || {
        let template = client.template(template).await;
        (template.state() == state).then_some(template)
    })
    .await
}
