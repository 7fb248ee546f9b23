//! The processes that a process has started: the program is `test-user`, as each has its own.

use super::common::check;
use super::user::{fifo, run};

#[test]
fn active_children_are_those_that_were_started_and_have_not_ended() {
    check(|server| {
        run(server, &["children"]);
    });
}

#[test]
fn a_worker_waits_for_what_it_started() {
    check(|server| {
        let gate = fifo(&server.folder);
        run(server, &["children-of-workers", gate.to_str().unwrap()]);
    });
}

#[test]
fn a_forked_child_has_no_children_and_waits_for_none() {
    check(|server| {
        run(server, &["children-after-fork"]);
    });
}

#[test]
fn a_daemonic_worker_may_have_no_children_but_commands() {
    check(|server| {
        run(server, &["daemonic"]);
    });
}

#[test]
fn a_worker_knows_who_started_it_and_sees_its_end() {
    check(|server| {
        run(server, &["parent"]);
    });
}
