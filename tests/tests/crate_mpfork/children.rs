//! The processes that a process has started: the program is `test-user`, as each has its own.

use super::common::check;
use super::user::run;

#[test]
fn active_children_are_those_that_were_started_and_have_not_ended() {
    check(|server| {
        run(server, &["children"]);
    });
}

#[test]
fn a_worker_knows_who_started_it_and_sees_its_end() {
    check(|server| {
        run(server, &["parent"]);
    });
}
