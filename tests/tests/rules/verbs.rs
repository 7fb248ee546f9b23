//! The same verb has the same file name everywhere.

use super::sources::{files, modules, read};
use std::collections::BTreeSet;

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

/// Each call has a file, but for those named.
fn check(folder: &str, without: &[&str]) {
    let files = BTreeSet::from_iter(modules(folder));
    for call in calls() {
        let there = files.contains(&call);
        assert_eq!(
            there,
            !without.contains(&call.as_str()),
            "{folder}/{call}.rs"
        );
    }
}

#[test]
fn in_the_daemon() {
    // The flow of descriptors is the transport's.
    check("daemon/src/verbs", &["acknowledge"]);
}

#[test]
fn in_the_client() {
    // Connecting is the handshake.
    check("client/src/api", &["acknowledge", "handshake"]);
}

#[test]
fn in_mpctl() {
    // `run --program` registers; `ps` shows workers.
    let of_others = ["register_template", "get_worker"];
    check(
        "daemon/ctl/src/verbs",
        &[&["acknowledge", "handshake"], of_others.as_slice()].concat(),
    );
}

#[test]
fn in_the_tests() {
    // The flow of descriptors has its tests in the transport.
    check("tests/tests", &["acknowledge"]);
}
