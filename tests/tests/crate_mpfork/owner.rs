//! Programs that end before their workers, fork, or were never fit to start any: see `test-user`.

use super::common::{check, check_daemon};
use super::user::{fifo, run, succeeds, user};
use mpfork_proto::v1::WorkerId;
use mpfork_tests::harness::{Daemon, TestClient, eventually, process as seen, programs};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Kinds, pids and numbers.
type Workers = BTreeMap<String, (i32, u64)>;

/// Has the program start its workers and end this way.
fn started(daemon: &Daemon, how: &str, gate: &Path) -> (Child, Workers) {
    let mut program = Command::new(programs::program("test-user"))
        .args(["owner", how])
        .arg(gate)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("MPFORKD_SOCKET", daemon.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut workers = BTreeMap::new();
    for line in BufReader::new(program.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "started" {
            break;
        }
        let words: Vec<_> = line.split(' ').collect();
        let (pid, number) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        workers.insert(words[0].to_owned(), (pid, number));
    }
    assert_eq!(workers.len(), 5);
    (program, workers)
}

async fn end(client: &TestClient, instance: u64, counter: u64) {
    let id = WorkerId { instance, counter };
    assert!(client.signal(id, 9, false).await.unwrap());
    assert_eq!(client.wait(Some(id)).await.unwrap().exitcode(), -9);
}

fn survivors_and_others(how: &str) {
    check_daemon(async |daemon| {
        let client = daemon.connect().await;
        let instance = client.handshake.instance;
        let gate = fifo(daemon.folder().path());
        let (mut program, workers) = started(daemon, how, &gate);
        if how == "hang" {
            assert!(workers.values().all(|(pid, _)| seen::lives(*pid)));
            program.kill().unwrap();
        } else {
            // It asks its daemonic process to end, and waits for the other one.
            let daemonic = WorkerId {
                instance,
                counter: workers["daemon"].1,
            };
            assert_eq!(client.wait(Some(daemonic)).await.unwrap().exitcode(), -15);
            assert_eq!(program.try_wait().unwrap(), None);
            assert!(seen::lives(workers["owned"].0));
            std::fs::write(&gate, "x").unwrap();
            let owned = WorkerId {
                instance,
                counter: workers["owned"].1,
            };
            assert_eq!(client.wait(Some(owned)).await.unwrap().exitcode(), 0);
        }
        program.wait().unwrap();
        for kind in ["owned", "daemon", "command"] {
            let (pid, _) = workers[kind];
            eventually(kind, || (!seen::lives(pid)).then_some(()));
        }
        for kind in ["kept", "detached"] {
            let (pid, number) = workers[kind];
            assert!(seen::lives(pid), "{kind}");
            end(&client, instance, number).await;
        }
    });
}

#[test]
fn a_program_that_ends_leaves_what_it_kept_and_detached() {
    survivors_and_others("end");
}

#[test]
fn a_program_that_exits_leaves_what_it_kept_and_detached() {
    survivors_and_others("exit");
}

#[test]
fn a_program_that_panics_leaves_what_it_kept_and_detached() {
    survivors_and_others("panic");
}

#[test]
fn a_program_that_is_killed_leaves_what_it_kept_and_detached() {
    survivors_and_others("hang");
}

#[test]
fn a_forked_child_starts_workers_of_its_own() {
    check(|server| {
        run(server, &["fork"]);
    });
}

#[test]
fn a_program_that_is_not_frozen_starts_nothing() {
    check_daemon(async |daemon| {
        let client = daemon.connect().await;
        let mut program = Command::new(programs::program("test-user"));
        program.arg("not-frozen").env_clear();
        program.env("MPFORKD_SOCKET", daemon.socket());
        succeeds(program.env("PATH", "/usr/bin:/bin"));
        let status = client.status().await;
        let templates: Vec<_> = status.templates.iter().map(|t| &t.name).collect();
        assert_eq!(templates, [mpfork_proto::BUILTIN_TEMPLATE]);
    });
}

#[test]
fn where_no_daemon_is_the_places_are_told() {
    check(|server| {
        let missing = server.folder.join("missing.sock");
        let named = succeeds(user(server, &["no-daemon"]).env("MPFORKD_SOCKET", &missing));
        assert_eq!(named, format!("Environment true {}\n", missing.display()));
        let mut program = user(server, &["no-daemon"]);
        program.env_remove("MPFORKD_SOCKET");
        program.env("XDG_RUNTIME_DIR", server.folder.join("run"));
        program.env("TMPDIR", server.folder.join("tmp"));
        let found = succeeds(&mut program);
        let tried: Vec<_> = found
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let origins: Vec<_> = tried.iter().map(|(origin, _)| *origin).collect();
        assert_eq!(origins, ["Runtime", "Temporary", "System"]);
        assert!(tried[0].1.ends_with("/run/mpforkd/mpforkd.sock"), "{found}");
    });
}
