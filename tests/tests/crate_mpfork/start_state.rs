//! What workers start with: see `test-user`.

use super::common::check;
use super::user::{run, succeeds, user};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::Stdio;

#[test]
fn a_worker_starts_as_if_the_caller_had_executed_it() {
    check(|server| {
        let mut program = user(server, &["as-the-caller", server.folder.to_str().unwrap()]);
        succeeds(program.env("SET", "by the caller").env("EMPTY", ""));
    });
}

#[test]
fn a_process_starts_as_it_is_described() {
    check(|server| {
        let folder = server.folder.to_str().unwrap();
        run(server, &["as-described", folder]);
    });
}

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
fn standard_streams_are_the_callers() {
    check(|server| {
        let path = server.folder.join("input");
        std::fs::write(&path, "four\nmore\n").unwrap();
        let mut program = user(server, &["streams"]);
        let printed = succeeds(program.stdin(File::open(path).unwrap()));
        assert_eq!(printed, "one\ntwo\nthree\nfour\nfive\n");
    });
}

#[test]
fn what_is_printed_keeps_its_order() {
    check(|server| {
        let mut file = tempfile::tempfile().unwrap();
        let mut program = user(server, &["interleaved"]);
        program.stdout(Stdio::from(file.try_clone().unwrap()));
        program.stderr(Stdio::from(file.try_clone().unwrap()));
        assert!(program.status().unwrap().success());
        file.flush().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let expected: Vec<_> = (0..3)
            .map(|n| format!("{n} out\n{n} err\n{n} end "))
            .collect();
        assert_eq!(text, expected.concat());
    });
}

#[test]
fn what_a_zygote_has_buffered_is_not_printed_by_workers() {
    check(|server| {
        let mut program = user(server, &["buffered"]);
        assert_eq!(succeeds(program.env("USER_FAULT", "unfinished")), "0 1 2 ");
    });
}
