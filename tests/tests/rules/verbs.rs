//! The same verb has the same file name everywhere.

use super::sources::{files, modules, read};
use std::collections::BTreeSet;

/// What the connection does by itself, in the transport.
const OF_THE_TRANSPORT: &str = "acknowledge";

/// The calls of all services, as file names.
fn calls() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for path in files("proto/proto/mpfork/v1", &["proto"]) {
        for line in read(path).lines() {
            if let Some(call) = line.trim().strip_prefix("rpc ") {
                let (name, _) = call.split_once('(').unwrap();
                calls.insert(snake(name));
            }
        }
    }
    assert!(calls.contains("run_worker"), "{calls:?}");
    calls
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.trim().chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn in_the_daemon() {
    let mut calls = calls();
    calls.remove(OF_THE_TRANSPORT);
    let files = BTreeSet::from_iter(modules("daemon/src/verbs"));
    assert_eq!(files, calls);
}

#[test]
fn in_the_client() {
    let files = BTreeSet::from_iter(modules("client/src/api"));
    // Connecting is the handshake.
    for call in calls() {
        if call != OF_THE_TRANSPORT && call != "handshake" {
            assert!(files.contains(&call), "client/src/api has no {call}.rs");
        }
    }
}

#[test]
fn in_mpctl() {
    let calls = calls();
    for file in modules("daemon/ctl/src/verbs") {
        assert!(
            calls.contains(&file),
            "daemon/ctl/src/verbs/{file}.rs is no call"
        );
    }
}
