//! Settings of a whole process: the program is `test-user`.

use super::common::{Server, check, check_daemon, context};
use super::preloads::templates;
use super::user::{run, succeeds, user};
use mpfork_tests::harness::programs::{install, program, test_program};
use mpfork_tests::harness::{Daemon, eventually};
use std::path::PathBuf;

fn server(daemon: &Daemon) -> Server {
    Server {
        ctx: context(daemon.socket()),
        socket: daemon.socket().to_owned(),
        folder: daemon.folder().path().to_owned(),
    }
}

#[test]
fn preloads_are_chosen_and_another_choice_is_another_zygote() {
    check_daemon(async |daemon| {
        let client = daemon.connect().await;
        run(&server(daemon), &["chosen-preloads"]);
        // Workers' workers come from the same zygotes.
        let mut preloads: Vec<_> = templates(&client).await;
        preloads.sort_by_key(|template| template.preload_reports.len());
        let names: Vec<Vec<_>> = preloads
            .iter()
            .map(|template| {
                let reports = template.preload_reports.iter();
                reports.map(|report| report.name.as_str()).collect()
            })
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], [""; 0]);
        assert_eq!(names[1], ["numbers", "total"]);
        assert_eq!(names[2].len(), 4, "{names:?}");
    });
}

#[test]
fn so_they_are_by_an_embedded_server() {
    check(|server| {
        let mut program = user(server, &["chosen-preloads"]);
        succeeds(program.env("MPFORK_SERVER", "embedded"));
    });
}

#[test]
fn a_preload_that_fails_may_be_one_of_an_embedded_server() {
    check(|server| {
        for (how, told) in [("ignore", false), ("warn", true), ("fail", false)] {
            let mut program = user(server, &["failing-preload", how]);
            program.env("USER_FAULT", "broken");
            let output = program.env("MPFORK_SERVER", "embedded").output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{how}: {errors}");
            let warning = "mpfork: warning: preload `broken`";
            assert_eq!(errors.contains(warning), told, "{how}: {errors}");
        }
    });
}

/// What the daemon says of a preload that failed.
fn with_a_broken_preload(how: &str, told: bool) {
    check_daemon(async |daemon| {
        let client = daemon.connect().await;
        let server = server(daemon);
        let mut program = user(&server, &["failing-preload", how]);
        succeeds(program.env("USER_FAULT", "broken"));
        let templates = templates(&client).await;
        let reports: Vec<_> = templates
            .iter()
            .flat_map(|template| &template.preload_reports)
            .filter(|report| report.name == "broken")
            .collect();
        if how == "fail" {
            assert!(reports.is_empty(), "{reports:?}");
            return;
        }
        assert_eq!(templates.len(), 1);
        assert_eq!(reports.len(), 1);
        assert!(reports[0].error.contains("there is nothing to load"));
        let warned = |log: &str| log.contains("WARN") && log.contains("served without it");
        if told {
            eventually("a warning", || warned(&daemon.log()).then_some(()));
            // It comes from the zygote too.
            let printed = "mpfork: warning: preload `broken`";
            eventually("its output", || {
                daemon.log().contains(printed).then_some(())
            });
        } else {
            assert!(!warned(&daemon.log()), "{}", daemon.log());
            assert!(!daemon.log().contains("mpfork: warning"));
        }
    });
}

#[test]
fn a_preload_that_fails_may_be_ignored() {
    with_a_broken_preload("ignore", false);
}

#[test]
fn a_preload_that_fails_may_be_warned_of() {
    with_a_broken_preload("warn", true);
}

#[test]
fn a_preload_that_fails_fails_the_start_unless_told_otherwise() {
    with_a_broken_preload("fail", false);
}

/// A copy of the program.
fn copy(server: &Server) -> PathBuf {
    let copy = server.folder.join("copy");
    install(&std::fs::read(program("test-user")).unwrap(), &copy, 0o755);
    copy
}

#[test]
fn another_program_is_executed_and_looked_at_when_it_is() {
    check(|server| {
        copy(server);
        std::fs::write(server.folder.join("file"), "x").unwrap();
        let folder = server.folder.to_str().unwrap();
        let other = test_program();
        run(server, &["executable", folder, other.to_str().unwrap()]);
    });
}

#[test]
fn so_it_is_where_no_daemon_executes_it() {
    for method in ["forkserver", "spawn"] {
        check(|server| {
            copy(server);
            std::fs::write(server.folder.join("file"), "x").unwrap();
            let folder = server.folder.to_str().unwrap();
            let other = test_program();
            let mut program = user(server, &["executable", folder, other.to_str().unwrap()]);
            program.env("USER_METHOD", method);
            succeeds(program.env("MPFORK_SERVER", "embedded"));
        });
    }
}

#[test]
fn the_operator_chooses_the_program() {
    for (path, what) in [
        ("", ""),
        ("/nonexistent/program", "No such file"),
        ("/bin/sh", "freeze_support()"),
    ] {
        check(|server| {
            let copy = copy(server);
            let path = if path.is_empty() {
                copy.to_str().unwrap()
            } else {
                path
            };
            let mut program = user(server, &["executable-of-environment", path, what]);
            succeeds(program.env("MPFORK_EXECUTABLE", path));
        });
    }
}
