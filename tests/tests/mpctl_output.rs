//! `mpctl` and what workers write: `logs`, `attach`, and `run` through a relay of bytes.
#![allow(clippy::unwrap_used)]

use mpfork_proto::v1::{Stdio as WireStdio, Stream};
use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::relay::Relay;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Daemon, Setup, check, eventually, eventually_async, process};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn mpctl(socket: &Path) -> Command {
    let mut mpctl = Command::new(program("mpctl-under-test"));
    mpctl.arg("--socket").arg(socket).stdin(Stdio::null());
    mpctl
}

/// What it printed, when it succeeds.
fn told(socket: &Path, args: &[&str]) -> String {
    let output = mpctl(socket).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn piped(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn logs_show_what_a_started_worker_wrote() {
    let setup = Setup::new().config("[limits]\nkept_output = 1000");
    check(setup, async |daemon| {
        let socket = daemon.socket();
        let start = |script: &str| {
            let id = told(socket, &["start", "command", "--", "sh", "-c", script]);
            let id = id.trim().to_owned();
            mpctl(socket).args(["wait", &id]).output().unwrap();
            id
        };
        let id = start("echo out; echo err >&2");
        assert_eq!(told(socket, &["logs", &id]), "out\nerr\n");
        let json: Value = serde_json::from_str(&told(socket, &["logs", &id, "--json"])).unwrap();
        assert_eq!(json, json!({"dropped": 0, "text": "out\nerr\n"}));
        let id = start("printf %05000d 7");
        let output = mpctl(socket).args(["logs", &id]).output().unwrap();
        assert_eq!(output.stdout.len(), 1000);
        assert_eq!(
            errors(&output),
            "mpctl: 4000 bytes before this are not kept\n"
        );
        let json: Value = serde_json::from_str(&told(socket, &["logs", &id, "--json"])).unwrap();
        assert_eq!(json["dropped"], 4000);
        // Its own records, and those of a template.
        assert!(told(socket, &["logs"]).contains("serves"));
        assert_eq!(told(socket, &["logs", "command"]), "");
        // Nobody by that name.
        let output = mpctl(socket).args(["logs", "nobody"]).output().unwrap();
        assert_eq!(output.status.code(), Some(66), "{}", errors(&output));
        let output = mpctl(socket).args(["logs", "abc-1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(67), "{}", errors(&output));
        let file = daemon.path("output");
        let args = [
            "start",
            "command",
            "--output",
            file.to_str().unwrap(),
            "--",
            "true",
        ];
        let id = told(socket, &args);
        let output = mpctl(socket).args(["logs", id.trim()]).output().unwrap();
        assert_eq!(output.status.code(), Some(87), "{}", errors(&output));
    });
}

#[test]
fn logs_follow_to_the_workers_end() {
    check(Setup::new(), async |daemon| {
        let gate = daemon.gate();
        let script = format!("echo before; read x < {gate}; echo after");
        let args = ["start", "command", "--", "sh", "-c", &script];
        let id = told(daemon.socket(), &args);
        for json in [false, true] {
            let mut logs = mpctl(daemon.socket());
            logs.args(["logs", "--follow", id.trim()]);
            let expected = if json {
                logs.arg("--json");
                [
                    r#"{"dropped":0,"text":"before\n"}"#,
                    r#"{"dropped":0,"text":"after\n"}"#,
                ]
            } else {
                ["before", "after"]
            };
            let mut child = piped(&mut logs);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), expected[0]);
            if json {
                std::fs::write(&gate, "go\n").unwrap();
                assert_eq!(lines.next().unwrap().unwrap(), expected[1]);
                assert!(lines.next().is_none());
                assert!(child.wait().unwrap().success());
            } else {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    });
}

#[test]
fn attach_takes_part_and_exits_as_the_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut spec = shell("echo early; cat; echo error >&2; exit 5");
        let mut stdio = WireStdio::default();
        stdio.set_stdin(Stream::Attached);
        stdio.set_stdout(Stream::Attached);
        stdio.set_stderr(Stream::Attached);
        spec.state.get_or_insert_default().stdio = Some(stdio);
        let started = client.start(spec, true).await.unwrap();
        let id = started.worker.unwrap().to_string();
        let socket = daemon.socket().to_owned();
        let mut child = piped(mpctl(&socket).args(["attach", &id]));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "early\n");
        let second = mpctl(&socket).args(["attach", &id]).output().unwrap();
        assert_eq!(second.status.code(), Some(85), "{}", errors(&second));
        child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "typed\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), errors(&output)),
            (Some(5), "error\n".to_owned())
        );
    });
}

/// `mpctl run` through a relay.
fn run_through(daemon: &Daemon, socket: &Path) {
    let run = |script: &str| {
        let mut run = mpctl(socket);
        run.args(["run", "command", "--", "sh", "-c", script]);
        run
    };
    let mut child = piped(&mut run("cat; echo error >&2; exit 7"));
    let sent: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = sent.clone();
    let sender = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    sender.join().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout == sent, "{} bytes", output.stdout.len());
    let errors = errors(&output);
    assert!(
        errors.contains("mpctl: descriptors do not pass"),
        "{errors}"
    );
    assert!(errors.ends_with("error\n"), "{errors}");
    // Signals are passed on.
    let script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = piped(&mut run(script));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    process::signal(i32::try_from(child.id()).unwrap(), Signal::TERM);
    assert_eq!(lines.next().unwrap().unwrap(), "caught");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    // Killed in the middle of it: the worker ends.
    let mut child = piped(&mut run("echo $$; while :; do echo more; done"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines.next().unwrap().unwrap().parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("its worker ends", || (!process::lives(pid)).then_some(()));
    // Nobody reads any more: it ends as the worker would.
    let mut child = piped(&mut run("echo $$; exec yes"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines.next().unwrap().unwrap().parse().unwrap();
    drop(lines);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::PIPE.as_raw()));
    eventually("its worker ends", || (!process::lives(pid)).then_some(()));
    // What can't be written for another reason is told.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = run("echo lost").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(72), "{}", self::errors(&output));
    // A program is registered by its path, and its functions' results come back.
    let program = program("test-program");
    let mut call = mpctl(socket);
    call.arg("run").arg("--program").arg(&program);
    let output = call
        .args(["--function", "echo", "--arg", "\"hello\""])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\"hello\"\n", "{}", self::errors(&output));
    assert!(daemon.socket().exists());
}

#[test]
fn run_works_through_a_relay_and_says_so() {
    check(Setup::new(), async |daemon| {
        let relay = Relay::new(daemon.folder().path(), daemon.socket());
        run_through(daemon, relay.socket());
        // So do those that need no descriptors.
        let socket = relay.socket();
        let args = ["start", "command", "--", "echo", "started"];
        let id = told(socket, &args);
        told(socket, &["wait", id.trim()]);
        assert_eq!(told(socket, &["logs", id.trim()]), "started\n");
        let args = ["start", "command", "--output", "/dev/null", "--", "true"];
        let output = mpctl(socket).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", errors(&output));
    });
}

#[test]
fn a_worker_that_is_kept_behind_a_relay_waits_for_the_next_to_attach() {
    check(Setup::new(), async |daemon| {
        let relay = Relay::new(daemon.folder().path(), daemon.socket());
        let gate = daemon.gate();
        // More than a pipe holds.
        let script = format!("echo $$; read x < {gate}; head -c 300000 /dev/zero; cat; exit 3");
        let mut run = mpctl(relay.socket());
        run.args(["run", "--keep", "command", "--", "sh", "-c", &script]);
        let mut child = piped(&mut run);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = lines.next().unwrap().unwrap().parse().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let client = daemon.connect().await;
        let orphan = eventually_async("its owner is gone", async || {
            let workers = client.list_workers(false).await;
            workers.into_iter().find(|worker| worker.owner_pid == 0)
        })
        .await;
        assert!(process::lives(pid));
        std::fs::write(&gate, "go\n").unwrap();
        let id = orphan.worker.unwrap().to_string();
        let output = eventually("nobody else is attached", || {
            let output = mpctl(relay.socket()).args(["attach", &id]).output();
            let output = output.unwrap();
            // That mpctl's stream has ended is noticed apart from that its connection has.
            (output.status.code() != Some(85)).then_some(output)
        });
        assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
        assert_eq!(output.stdout.len(), 300_000);
    });
}

/// A process that ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn run_works_through_socat() {
    let found = Command::new("socat").arg("-V").output().is_ok();
    if !found {
        eprintln!("skipped: socat is not installed");
        return;
    }
    check(Setup::new(), async |daemon| {
        let socket = daemon.path("socat.sock");
        // None of the test's own streams: were it left, whoever reads them would wait for it.
        let socat = Command::new("socat")
            .arg(format!("UNIX-LISTEN:{},fork", socket.display()))
            .arg(format!("UNIX-CONNECT:{}", daemon.socket().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socat = Ended(socat);
        eventually("socat listens", || UnixStream::connect(&socket).ok());
        run_through(daemon, &socket);
        drop(socat);
        std::fs::remove_file(&socket).unwrap();
        let client = daemon.connect().await;
        // Its children end with their connections.
        eventually_async("its connections end", async || {
            (client.in_use("connections").await == 1).then_some(())
        })
        .await;
    });
}

/// Where nothing can be forked, everything that shows a worker or a template says how it is made.
#[test]
fn workers_and_templates_say_that_they_are_made_by_spawn() {
    check(Setup::new().without_feature("fork"), async |daemon| {
        let socket = daemon.socket();
        let json = |args: &[&str]| -> Value {
            serde_json::from_str(&told(socket, &[&["--json"], args].concat())).unwrap()
        };
        let gate = daemon.gate();
        let script = format!("read x < {gate}");
        let started = json(&["start", "command", "--", "sh", "-c", &script]);
        assert_eq!(started["way"], "spawn");
        assert_eq!(json(&["ps"])[0]["way"], "spawn");
        let table = told(socket, &["ps"]);
        let (head, row) = table.split_once('\n').unwrap();
        let at = head.find("WAY").unwrap();
        assert!(row[at..].starts_with("spawn  running"), "{table}");
        for args in [&["status"][..], &["template", "list"]] {
            let page = told(socket, args);
            let row = page.lines().find(|line| line.starts_with("command"));
            let cells: Vec<_> = row.unwrap().split_whitespace().take(6).collect();
            assert_eq!(cells[1..4], ["warm,", "by", "spawn"], "{page}");
            // Nothing is preloaded.
            assert_eq!(cells[5], "-", "{page}");
        }
        assert_eq!(json(&["status"])["templates"][0]["way"], "spawn");
        let page = told(socket, &["template", "show", "command"]);
        assert!(page.contains("warm, by spawn\n"), "{page}");
        for fact in ["a fork takes", "preloaded in"] {
            assert!(!page.contains(fact), "{page}");
        }
        std::fs::write(&gate, "go\n").unwrap();
        told(socket, &["wait", started["worker"].as_str().unwrap()]);
    });
}
