//! The other verbs, as people and as programs use them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Daemon, Outcome, eventually, probe};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_detached_worker_is_started_listed_waited_for() {
    let daemon = Daemon::start();
    let log = daemon.folder().join("output");
    let script = "echo begun; read x; echo $x; exec sleep 100";
    let outcome = daemon.run(&[
        "start",
        "command",
        "--name",
        "sleeper",
        "--output",
        log.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        script,
    ]);
    // mpctl has ended, and with it everything that held its pipes.
    let id = outcome.stdout.trim();
    assert_eq!(outcome.code(), 0, "{outcome:?}");

    let worker = &daemon.json(&["ps", "--memory"])[0];
    assert_eq!(worker["worker"], id);
    assert_eq!(worker["name"], "sleeper");
    assert!(worker["rss_bytes"].as_u64().unwrap() > 0);
    // Nobody owns it, so nobody's death ends it.
    assert!(worker["owner_pid"].is_null());
    assert!(worker["on_owner_death"].is_null());
    assert_eq!(worker["template_name"], "command");
    let ways = ["fork", "spare"];
    assert!(ways.contains(&worker["way"].as_str().unwrap()), "{worker}");
    let table = daemon.run(&["ps"]).stdout;
    assert!(
        table.contains("sleeper") && table.contains(script),
        "{table}"
    );
    assert_eq!(
        daemon.json(&["ps", "--template", "command"])[0]["worker"],
        id
    );

    eventually("it has written all", || {
        let written = std::fs::read_to_string(&log).unwrap();
        (written == "begun\n\n").then_some(())
    });
    let outcome = daemon.run(&["wait", id, "--timeout", "10ms"]);
    assert_eq!(outcome.code(), 74, "{outcome:?}");
    assert_eq!(daemon.run(&["signal", id, "sigterm", "--group"]).code(), 0);
    let outcome = daemon.run(&["wait", id]);
    assert_eq!(
        (outcome.code(), outcome.stdout.as_str()),
        (143, "signal 15 (TERM)\n")
    );
    let exit = Outcome::of(daemon.mpctl(&["--json", "wait", id]).spawn().unwrap());
    let exit: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(exit["exit"]["signal_name"], "TERM");
    assert_eq!(exit["exit"]["exitcode"], -15);

    let outcome = daemon.run(&["signal", id, "TERM"]);
    assert_eq!(outcome.code(), 1);
    assert!(outcome.stderr.contains("had ended already"), "{outcome:?}");
    assert_eq!(daemon.json(&["ps"]), serde_json::json!([]));
    assert_eq!(
        daemon.json(&["ps", "--all"])[0]["exit"]["outcome"],
        "signal"
    );
    assert_eq!(std::fs::read_to_string(log).unwrap(), "begun\n\n");
    daemon.end();
}

#[test]
fn the_status_tells_what_has_happened() {
    let daemon = Daemon::start();
    for _ in 0..3 {
        assert_eq!(daemon.run(&["run", "command", "--", "true"]).code(), 0);
    }
    assert_eq!(daemon.run(&["run", "command", "--", "absent"]).code(), 127);
    let status = eventually("the zygote's memory was read", || {
        let status = daemon.json(&["status"]);
        status["templates"][0]["rss_bytes"]
            .is_u64()
            .then_some(status)
    });
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["socket"], daemon.socket().to_str().unwrap());
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(status["workers"]["running"], 0);
    assert_eq!(status["workers"]["started"], 3);
    assert_eq!(status["workers"]["failed"], 1);
    let template = &status["templates"][0];
    assert_eq!(template["name"], "command");
    assert_eq!(template["state"], "warm");
    assert!(template["start_latency_us"]["p50"].as_u64().unwrap() > 0);
    assert!(template["zygote_pid"].as_i64().unwrap() > 0);

    let page = daemon.run(&["status"]).stdout;
    assert!(
        page.contains("3 started, 3 exited, 1 starts failed"),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    let row = page
        .lines()
        .find(|line| line.starts_with("command"))
        .unwrap();
    assert!(row.contains("warm"), "{page}");
    daemon.end();
}

#[test]
fn a_template_is_warmed_reloaded_and_shown() {
    let daemon = Daemon::with_config(&format!(
        "[templates.words]\nprogram = {0:?}\nenv = {{ PROBE = \"slow\" }}\n\
         [templates.broken]\nprogram = {0:?}\nenv = {{ PROBE = \"fail\" }}\n",
        probe()
    ));
    let outcome = daemon.run(&["template", "warm", "words"]);
    assert!(
        outcome.stdout.starts_with("words is warm: zygote "),
        "{outcome:?}"
    );
    // No terminal, no progress.
    assert_eq!((outcome.code(), outcome.stderr.as_str()), (0, ""));
    let first = daemon.json(&["template", "show", "words"])["zygote_pid"].clone();
    let second = daemon.json(&["template", "reload", "words"])["zygote_pid"].clone();
    assert_ne!(first, second);
    let page = daemon.run(&["template", "show", "words"]).stdout;
    assert!(
        page.contains("preloaded in") && page.contains("words"),
        "{page}"
    );

    let outcome = daemon.run(&["template", "warm", "broken"]);
    assert_eq!(outcome.code(), 78, "{outcome:?}");
    let status = daemon.json(&["status"]);
    let broken = status["templates"].as_array().unwrap();
    let broken = broken.iter().find(|t| t["name"] == "broken").unwrap();
    assert!(
        broken["last_error"]
            .as_str()
            .unwrap()
            .contains("No such file")
    );
    daemon.end();
}

#[test]
fn shutting_down_waits_for_the_end() {
    let daemon = Daemon::start();
    let outcome = daemon.run(&["start", "command", "--", "sleep", "100"]);
    assert_eq!(outcome.code(), 0);
    let outcome = daemon.run(&["shutdown", "--grace", "1s"]);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, ""));
    daemon.ended();
}

#[test]
fn without_a_daemon_the_places_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nobody.sock");
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mpctl"));
        command.args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Outcome::of(command.spawn().unwrap())
    };
    let outcome = run(&["--socket", socket.to_str().unwrap(), "status"]);
    assert_eq!(outcome.code(), 69);
    for part in [
        "no mpforkd found",
        "nobody.sock",
        "start one with `mpforkd`",
    ] {
        assert!(outcome.stderr.contains(part), "{outcome:?}");
    }
    let outcome = run(&["--json", "--socket", socket.to_str().unwrap(), "status"]);
    let error: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], 69);

    for args in [&["--help"][..], &["run", "--help"], &["template", "--help"]] {
        let outcome = run(args);
        assert_eq!(
            (outcome.code(), outcome.stderr.as_str()),
            (0, ""),
            "{args:?}"
        );
        assert!(
            outcome
                .stdout
                .lines()
                .all(|line| line.chars().count() <= 100)
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let daemon = Daemon::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = daemon.mpctl(&["status"]);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    assert_eq!(common::wait(&mut child).code(), Some(0));
    daemon.end();
}

#[test]
fn events_are_shown_as_they_happen_and_afterwards() {
    let daemon = Daemon::start();
    let mut follower = daemon.mpctl(&["--json", "events", "--kind", "worker"]);
    let mut follower = follower.spawn().unwrap();
    // It watches once it has its stream; what happens before that is not for it.
    let mut told = BufReader::new(follower.stdout.take().unwrap());
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        while told.read_line(&mut line).is_ok_and(|count| count > 0) {
            let _ = send.send(std::mem::take(&mut line));
        }
    });
    let line = eventually("an event is told", || {
        assert_eq!(daemon.run(&["run", "command", "--", "false"]).code(), 1);
        lines.recv_timeout(Duration::from_millis(200)).ok()
    });
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["kind"], "worker-started");
    assert_eq!(event["template"], "command");
    let id = event["id"].as_str().unwrap().to_owned();
    common::kill(i32::try_from(follower.id()).unwrap(), 15);
    assert_eq!(common::wait(&mut follower).code(), None);

    let page = daemon
        .run(&["events", "--no-follow", "--since", &id])
        .stdout;
    let first = page.lines().next().unwrap();
    assert!(
        first.contains("worker-exited") && first.ends_with("false: exit 1"),
        "{page}"
    );
    let all = daemon.run(&["events", "--no-follow"]).stdout;
    assert!(
        all.lines().next().unwrap().contains("template-registered"),
        "{all}"
    );
    assert!(all.ends_with(&page), "{all}");
    let outcome = daemon.run(&["events", "--since", "99999"]);
    assert_eq!(outcome.code(), 64, "{outcome:?}");
    let outcome = daemon.run(&["events", "--no-follow", "--since", "1f-99999"]);
    assert!(
        outcome
            .stdout
            .starts_with("-- what followed event 99999 of run 1f")
    );
    daemon.end();
}

#[test]
fn the_daemon_is_drained_and_takes_starts_again() {
    let daemon = Daemon::start();
    let outcome = daemon.run(&["start", "command", "--", "sleep", "100"]);
    let id = outcome.stdout.trim();
    let outcome = daemon.run(&["drain", "--no-wait"]);
    assert_eq!(
        (outcome.code(), outcome.stdout.as_str()),
        (0, "draining: 1 worker is left\n")
    );
    let page = daemon.run(&["status"]).stdout;
    assert!(
        page.lines().next().unwrap().ends_with("   DRAINING"),
        "{page}"
    );
    assert_eq!(daemon.json(&["status"])["draining"], true);
    let outcome = daemon.run(&["run", "command", "--", "true"]);
    assert_eq!(outcome.code(), 88, "{outcome:?}");
    assert!(outcome.stderr.contains("mpctl drain --undo"), "{outcome:?}");
    let outcome = daemon.run(&["drain", "--undo"]);
    assert_eq!(
        (outcome.code(), outcome.stdout.as_str()),
        (0, "starts are taken again\n")
    );
    assert_eq!(daemon.run(&["run", "command", "--", "true"]).code(), 0);
    // Now for good: what still runs is ended, and then the daemon.
    let drained = daemon.json(&["drain", "--deadline", "10ms", "--exit"]);
    assert_eq!(
        drained,
        serde_json::json!({"state": "drained", "workers": 0})
    );
    assert!(!id.is_empty());
    daemon.ended();
}

#[test]
fn the_log_filter_is_shown_and_changed() {
    let daemon = Daemon::start();
    let shown = |args: &[&str]| daemon.run(&[&["log-filter"], args].concat()).stdout;
    assert_eq!(shown(&[]), "info\n");
    assert_eq!(shown(&["mpforkd=debug"]), "mpforkd=debug\n");
    assert_eq!(
        daemon.json(&["status"])["log_filter"]["filter"],
        "mpforkd=debug"
    );
    let text = shown(&["trace", "--for", "1h"]);
    assert!(
        text.starts_with("trace   for ") && text.ends_with(", then mpforkd=debug\n"),
        "{text}"
    );
    let filter = daemon.json(&["log-filter"]);
    assert_eq!(filter["afterwards"], "mpforkd=debug");
    assert!(filter["left_seconds"].as_f64().unwrap() > 3000.0);
    assert_eq!(shown(&["--reset"]), "info\n");
    let outcome = daemon.run(&["log-filter", "mpforkd=loud"]);
    assert_eq!(outcome.code(), 64, "{outcome:?}");
    assert_eq!(daemon.run(&["log-filter", "--for", "1s"]).code(), 64);
    daemon.end();
}

#[test]
fn completions_need_no_daemon() {
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mpctl"));
        command.args(args).env("MPFORKD_SOCKET", "/nowhere");
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Outcome::of(command.spawn().unwrap())
    };
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = run(&["completions", shell]);
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        assert!(outcome.stdout.contains("log-filter"), "{shell}");
    }
    assert_eq!(run(&["completions", "tcsh"]).code(), 64);
    // What is printed is a script that bash can read, and that completes verbs.
    let script = format!(
        "{}\nCOMP_WORDS=(mpctl templ); COMP_CWORD=1; _mpctl mpctl templ mpctl; echo \"${{COMPREPLY[@]}}\"",
        run(&["completions", "bash"]).stdout
    );
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", &script]).stdin(Stdio::null());
    bash.stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = Outcome::of(bash.spawn().unwrap());
    assert_eq!(outcome.stdout, "template\n", "{outcome:?}");
}
