//! What workers start with: see `test-user`.

use super::common::check;
use super::user::{run, succeeds, user};
use std::fs::File;

#[test]
fn a_command_starts_as_if_the_caller_had_executed_it() {
    check(|server| {
        let folder = server.folder.to_str().unwrap();
        run(server, &["commands-state", folder]);
    });
}

#[test]
fn signals_are_ignored_as_they_should_be() {
    check(|server| {
        run(server, &["dispositions"]);
    });
}

#[test]
fn a_worker_that_waits_has_little_memory_of_its_own() {
    check(|server| {
        run(server, &["idle-memory"]);
    });
}

#[test]
fn nothing_else_is_open() {
    check(|server| {
        let kept = server.folder.join("kept").canonicalize_new();
        let mut program = user(server, &["descriptors", &kept]);
        succeeds(program.env("USER_KEPT", &kept));
    });
}

trait CanonicalizeNew {
    fn canonicalize_new(&self) -> String;
}

impl CanonicalizeNew for std::path::PathBuf {
    /// Makes the file; its path without links.
    fn canonicalize_new(&self) -> String {
        File::create(self).unwrap();
        self.canonicalize()
            .unwrap()
            .into_os_string()
            .into_string()
            .unwrap()
    }
}

#[test]
fn a_closed_standard_input_is_the_null_device() {
    check(|server| {
        run(server, &["closed-stdin"]);
    });
}

#[test]
fn what_a_zygote_has_buffered_is_not_printed_by_workers() {
    check(|server| {
        let mut program = user(server, &["buffered"]);
        assert_eq!(succeeds(program.env("USER_FAULT", "unfinished")), "0 1 2 ");
    });
}
