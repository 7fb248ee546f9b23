//! Many concurrent calls with descriptors each way, connections that break, and reconnects: each
//! descriptor that arrives is the right one, and none is left.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check};
use mpfork_transport::uncancelled;
use proptest::prelude::*;
use std::collections::VecDeque;
use tokio::task::JoinSet;

/// One call: how many descriptors go out and how many come back.
#[derive(Debug, Clone, Copy)]
struct Call {
    out: u32,
    back: usize,
}

#[derive(Debug, Clone)]
struct Plan {
    threads: usize,
    client_credit: u32,
    server_credit: u32,
    calls: Vec<Call>,
    concurrent: usize,
    /// The connection breaks after this many calls have ended.
    breaks: Vec<usize>,
    /// Every so many calls the caller is gone before the answer.
    dropped: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let call = (0u32..=10, 0usize..=10).prop_map(|(out, back)| Call { out, back });
    (
        1usize..=2,
        20u32..300,
        10u32..300,
        prop::collection::vec(call, 1..300),
        1usize..100,
        prop::collection::vec(1usize..60, 0..5),
        3usize..20,
    )
        .prop_map(
            |(threads, client_credit, server_credit, calls, concurrent, breaks, dropped)| Plan {
                threads,
                client_credit,
                server_credit,
                calls,
                concurrent,
                breaks,
                dropped,
            },
        )
}

async fn carry_out(plan: Plan) {
    let serving = Serving::start(plan.server_credit);
    let mut client = Client::connect(&serving.path, plan.client_credit).await;
    let mut calls: VecDeque<(usize, Call)> = plan.calls.iter().copied().enumerate().collect();
    let mut breaks = plan.breaks.iter().copied();
    let mut until_break = breaks.next();
    let mut running = JoinSet::new();
    let mut broken = false;
    while !calls.is_empty() || !running.is_empty() {
        while running.len() < plan.concurrent {
            let Some((index, call)) = calls.pop_front() else {
                break;
            };
            let mine = client.clone();
            let first = u32::try_from(index).unwrap() * 16;
            running.spawn(async move {
                let tokens: Vec<u32> = (first..first + call.out).collect();
                let result = mine.echo(&tokens, call.back).await;
                (index, call, mine, result)
            });
            if index.is_multiple_of(plan.dropped) {
                let mine = client.clone();
                drop(uncancelled(async move { mine.echo(&[7; 10], 10).await }));
            }
        }
        let (index, call, used, result) = running.join_next().await.unwrap().unwrap();
        if let Err(error) = result {
            assert!(broken, "{error}");
            // Calls fail with their connection, and only with it.
            used.connection.closed().await;
            if client.connection.is_closed() {
                client = Client::connect(&serving.path, plan.client_credit).await;
            }
            calls.push_back((index, call));
            continue;
        }
        until_break = until_break.map(|left| left - 1);
        if until_break == Some(0) {
            serving.break_all();
            broken = true;
            until_break = breaks.next();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn each_descriptor_is_the_right_one(plan in plan()) {
        check(plan.threads, || carry_out(plan));
    }
}
