//! `mpctl run` of programs: their mains, their functions, their preloads.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Daemon, Outcome, eventually, kill, probe};

const SIGTERM: i32 = 15;

#[test]
fn a_programs_main_runs_with_the_arguments() {
    let daemon = Daemon::start();
    let program = probe().to_str().unwrap();
    let outcome = daemon.run(&["run", "--program", program, "--", "a", "b c"]);
    assert_eq!(
        outcome.stdout, "2 words, arguments [\"a\", \"b c\"]\n",
        "{outcome:?}"
    );
    // By the name it is given here, whatever name the zygote was executed by.
    let mut elsewhere = daemon.mpctl(&["run", "--program", "./mpctl-probe", "--", "name"]);
    elsewhere.current_dir(probe().parent().unwrap());
    let outcome = Outcome::of(elsewhere.spawn().unwrap());
    assert_eq!(outcome.stdout, "./mpctl-probe\n", "{outcome:?}");
    // Its zygote is warm by now, and may be named.
    let templates = daemon.json(&["template", "list"]);
    let probe = &templates[1];
    assert_eq!(
        (probe["name"].as_str(), probe["state"].as_str()),
        (Some("mpctl-probe"), Some("warm"))
    );
    let digest = &probe["digest"].as_str().unwrap()[..10];
    let outcome = daemon.run(&["run", digest]);
    assert_eq!(outcome.stdout, "2 words, arguments []\n", "{outcome:?}");
    let outcome = daemon.run(&["run", digest, "--", "name"]);
    assert_eq!(outcome.stdout, format!("{program}\n"), "{outcome:?}");
    // By its program's name too, while only one has it.
    let outcome = daemon.run(&["run", "mpctl-probe", "--", "c"]);
    assert_eq!(outcome.stdout, "2 words, arguments [\"c\"]\n");
    let mut other = daemon.mpctl(&["run", "--program", program]);
    let other = Outcome::of(other.env("PROBE", "other").spawn().unwrap());
    assert_eq!(other.code(), 0, "{other:?}");
    let outcome = daemon.run(&["run", "mpctl-probe"]);
    assert_eq!(outcome.code(), 66, "{outcome:?}");
    let told = "may be any of 2 templates: mpctl-probe ";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    assert!(outcome.stderr.contains(digest), "{outcome:?}");
    assert_eq!(daemon.run(&["template", "remove", digest]).code(), 0);
    assert_eq!(daemon.run(&["template", "show", digest]).code(), 66);
    daemon.end();
}

#[test]
fn a_functions_result_is_printed() {
    let daemon = Daemon::start();
    let program = probe().to_str().unwrap();
    let call = |rest: &[&str]| {
        let line = ["run", "--program", program, "--function"];
        daemon.run(&[&line, rest].concat())
    };
    let outcome = call(&["lengths", "--", "a", "bcd"]);
    let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(result, serde_json::json!({"a": 1, "bcd": 3}));
    assert_eq!(call(&["sum", "--arg", "[40, 2]"]).stdout, "42\n");
    assert_eq!(call(&["nothing", "--arg", "null"]).stdout, "null\n");

    let outcome = call(&["fail", "--arg", "\"no such thing\""]);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (1, ""));
    // The worker has said so, and nobody says it again.
    assert_eq!(outcome.stderr, "Error: no such thing\n");
    let line = [
        "--json",
        "run",
        "--program",
        program,
        "--function",
        "fail",
        "--arg",
        "\"x\"",
    ];
    let outcome = daemon.run(&line);
    let json = outcome.stderr.lines().last().unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["error"]["exit"]["failure"]["message"], "x");

    // Refused before anything is started.
    let outcome = call(&["absent", "--arg", "1"]);
    assert_eq!(outcome.code(), 64, "{outcome:?}");
    let told = "has registered no function \"absent\"; there are fail, lengths, nothing, sum";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    daemon.end();
}

#[test]
fn a_failed_preload_is_told() {
    let daemon = Daemon::start();
    let program = probe().to_str().unwrap();
    let mut command = daemon.mpctl(&["run", "--program", program]);
    command.env("PROBE", "fail");
    let outcome = Outcome::of(command.spawn().unwrap());
    assert_eq!(outcome.code(), 78, "{outcome:?}");
    for part in [
        "mpctl: running ",
        "\"words\"",
        "No such file or directory",
        "\nadvice: correct what the preload reports",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    daemon.end();
}

#[test]
fn a_start_that_takes_long_can_be_interrupted() {
    let daemon = Daemon::with_config(&format!(
        "[templates.slow]\nprogram = {:?}\nenv = {{ PROBE = \"slow\" }}\n",
        probe()
    ));
    let child = daemon.mpctl(&["run", "slow"]).spawn().unwrap();
    eventually("it is being warmed", || {
        let template = daemon.json(&["template", "show", "slow"]);
        (template["state"] == "warming").then_some(())
    });
    kill(i32::try_from(child.id()).unwrap(), SIGTERM);
    assert_eq!(Outcome::of(child).signal(), SIGTERM);
    daemon.end();
}
