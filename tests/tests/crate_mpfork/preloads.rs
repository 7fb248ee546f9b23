//! Preloads and hooks, seen from the program that declares them: see `test-user`.

use super::common::{Server, check, check_daemon, context};
use super::user::{lines, run, succeeds, user};
use mpfork_proto::v1;
use mpfork_tests::harness::{TestClient, spares_always};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The only template that is not mpforkd's own.
pub(crate) async fn own_template(client: &TestClient) -> v1::Template {
    let mut own = templates(client).await;
    assert_eq!(own.len(), 1, "{own:?}");
    own.remove(0)
}

pub(crate) async fn templates(client: &TestClient) -> Vec<v1::Template> {
    let request = v1::ListTemplatesRequest {};
    let answer = client.templates().list_templates(request).await.unwrap();
    let all = answer.into_inner().templates;
    all.into_iter()
        .filter(|template| template.name != mpfork_proto::BUILTIN_TEMPLATE)
        .collect()
}

fn noting(server: &Server, notes: &Path, words: &[&str]) -> Command {
    let mut command = user(server, words);
    command.env("USER_NOTES", notes);
    command
}

const LOADED: [&str; 3] = ["numbers", "total", "kept"];

fn loads(notes: &Path) -> Vec<String> {
    let mut lines = lines(notes);
    lines.retain(|line| LOADED.contains(&line.as_str()));
    lines
}

#[test]
fn what_is_loaded_serves_every_run_of_the_program() {
    check_daemon(async |daemon| {
        let client = daemon.connect().await;
        let server = Server {
            ctx: context(daemon.socket()),
            socket: daemon.socket().to_owned(),
            folder: daemon.folder().path().to_owned(),
        };
        let notes = server.folder.join("notes");
        let numbers = |words: &[&str]| noting(&server, &notes, words);
        succeeds(&mut numbers(&["numbers", "3"]));
        let first = own_template(&client).await;
        assert_eq!(first.state(), v1::TemplateState::Warm);
        succeeds(&mut numbers(&["numbers", "3", "other", "arguments"]));
        succeeds(numbers(&["numbers", "3"]).current_dir("/"));
        succeeds(numbers(&["numbers", "3"]).env("UNRELATED", "changed"));
        let last = own_template(&client).await;
        assert_eq!(
            (last.digest, last.zygote_pid, last.state),
            (first.digest.clone(), first.zygote_pid, first.state)
        );
        assert_eq!(loads(&notes), LOADED);
        // What a preload declares makes another template, and finds the first one when it is back.
        succeeds(numbers(&["numbers", "5"]).env("USER_SIZE", "5"));
        assert_eq!(loads(&notes), LOADED.repeat(2));
        succeeds(&mut numbers(&["numbers", "3"]));
        assert_eq!(loads(&notes), LOADED.repeat(2));
        let digests: Vec<_> = templates(&client).await;
        let mut digests: Vec<_> = digests.into_iter().map(|t| t.digest).collect();
        assert!(digests.contains(&first.digest));
        digests.dedup();
        assert_eq!(digests.len(), 2);
    });
}

#[test]
fn without_a_zygote_preloads_load_at_first_use() {
    check(|server| {
        let notes = server.folder.join("notes");
        succeeds(&mut noting(server, &notes, &["lazy"]));
        assert_eq!(loads(&notes), LOADED);
    });
}

#[test]
fn a_preload_that_fails_is_told_typed() {
    check(|server| {
        succeeds(user(server, &["broken"]).env("USER_FAULT", "broken"));
    });
}

#[test]
fn hooks_run_in_their_order_whatever_the_end() {
    check(|server| {
        let mut notes = Vec::new();
        for (number, how) in ["end", "panic", "error", "exit"].into_iter().enumerate() {
            let path = server.folder.join(format!("notes-{number}"));
            let printed = succeeds(&mut noting(server, &path, &["hooks", how]));
            // What it printed before it left is not lost, nor printed twice.
            assert_eq!(printed, if how == "exit" { "no line break" } else { "" });
            notes.push(lines(&path));
        }
        let mut expected = LOADED.to_vec();
        expected.extend(["before 1", "before 2", "after 1", "after 2"]);
        expected.extend(["work", "exit 1", "exit 2"]);
        for mut noted in notes {
            if spares_always() {
                // What was forked ahead had them run too.
                let mut seen = std::collections::HashSet::new();
                noted.retain(|line| !line.starts_with("before") || seen.insert(line.clone()));
            }
            assert_eq!(noted, expected);
        }
    });
}

#[test]
fn a_hook_that_fails_is_told_typed() {
    check(|server| {
        for method in ["forkserver", "fork"] {
            for (which, hook) in [
                ("before", "before 2"),
                ("after", "after 1"),
                ("exit", "exit 1"),
            ] {
                let mut program = user(server, &["hook-fails", which]);
                succeeds(program.env("USER_METHOD", method).env("USER_FAULT", hook));
            }
        }
    });
}

/// By start method `fork` those before it run in the program, which loads nothing for it.
#[test]
fn hooks_run_around_a_fork_of_the_program_itself() {
    check(|server| {
        let path = server.folder.join("notes");
        let mut program = noting(server, &path, &["hooks", "end"]);
        succeeds(program.env("USER_METHOD", "fork"));
        let expected = [
            "before 1", "before 2", "after 1", "after 2", "work", "exit 1", "exit 2",
        ];
        assert_eq!(lines(&path), expected);
    });
}

#[test]
fn a_worker_may_go_on_with_main() {
    check(|server| {
        run(server, &["main"]);
        // By the name its caller has, not by that of the one who registered the program.
        succeeds(user(server, &["main"]).arg0("another name"));
    });
}
