//! The command line and the configuration file.
#![allow(clippy::unwrap_used)]

use mpfork_tests::harness::programs::{DAEMON, program};
use mpfork_tests::harness::{Folder, Setup, check, eventually};
use std::process::{Command, Output};

fn mpforkd(args: &[&str]) -> Output {
    let output = Command::new(program(DAEMON))
        .args(args)
        .env_remove("MPFORKD_CONFIG")
        .env_remove("MPFORKD_SOCKET")
        .output();
    output.unwrap()
}

fn check_config(text: &str) -> (bool, String) {
    let folder = Folder::new();
    let file = folder.join("mpforkd.toml");
    std::fs::write(&file, text).unwrap();
    let output = mpforkd(&["--check-config", "--config", file.to_str().unwrap()]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_fine_configuration_is_said_to_be_fine() {
    let program = mpfork_tests::harness::programs::test_program();
    let whole = format!(
        "[log]\nfilter = \"debug\"\nformat = \"json\"\n[limits]\nworkers = 1\n\
         [timeouts]\nidle = \"1h 5m\"\n[templates.a]\nprogram = {program:?}\nwarm = true"
    );
    for text in ["", "socket = \"/run/x.sock\"", &whole] {
        let (fine, said) = check_config(text);
        assert!(fine, "{text}: {said}");
        assert!(said.contains("fine"), "{said}");
    }
}

#[test]
fn what_a_fine_one_does_not_give_is_said_too() {
    let (fine, said) = check_config("[spares]\nmin = 70\nmax = 80");
    assert!(fine, "{said}");
    assert!(
        said.contains("spares.min is 70") && said.contains("limits.spares"),
        "{said}"
    );
}

#[test]
fn a_wrong_one_says_what_is_wrong_and_where() {
    for (text, expected) in [
        ("sockets = 1", &["sockets", "line 1", "mpforkd.toml"][..]),
        ("[limits]\n\nworkers = \"many\"", &["line 3", "workers"]),
        ("[limits]\nworkers = 0", &["limits.workers"]),
        (
            "[limits]\ndescriptor_credit = 3",
            &["limits.descriptor_credit"],
        ),
        ("[timeouts]\nidle = 5", &["idle"]),
        ("[timeouts]\nidle = \"-1s\"", &["idle"]),
        ("[log]\nformat = \"xml\"", &["xml"]),
        ("[log]\nfilter = \"a=b=c\"", &["log.filter", "a=b=c"]),
        ("[templates.a]", &["program"]),
        (
            "[templates.a]\nprogram = \"relative\"",
            &["templates.a.program", "absolute"],
        ),
        (
            "[templates.command]\nprogram = \"/a\"",
            &["templates.command", "built-in"],
        ),
        ("[templates.a]\nprogram = \"/a\"\nwarmth = 1", &["warmth"]),
        (
            "[templates.a]\nprogram = \"/a\"\nrlimits = { nofile = [2, 1] }",
            &["templates.a.rlimits", "soft"],
        ),
        ("= 1", &["line 1"]),
        (
            "[limits]\ntemplates = 1\n[templates.a]\nprogram = \"/a\"",
            &["limits.templates"],
        ),
    ] {
        let (fine, said) = check_config(text);
        assert!(!fine, "{text}");
        for part in expected {
            assert!(said.contains(part), "{text}: {said}");
        }
    }
    let output = mpforkd(&["--check-config", "--config", "/nowhere/at/all.toml"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/nowhere/at/all.toml"), "{said}");
}

#[test]
fn a_wrong_command_line_is_refused() {
    for args in [
        &["--nonsense"][..],
        &["--without-feature", "gravity"],
        &["--log-format", "xml"],
        &["positional"],
    ] {
        let output = mpforkd(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
    let output = mpforkd(&["--version"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said.trim(),
        format!("mpforkd {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_wrong_log_filter_is_refused_before_anything_is_served() {
    let folder = Folder::new();
    let socket = folder.join("s");
    let output = mpforkd(&["--socket", socket.to_str().unwrap(), "--log", "a=b=c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!socket.exists());
}

#[test]
fn the_log_may_be_json() {
    for setup in [
        Setup::new().arg("--log-format").arg("json"),
        Setup::new().config("[log]\nformat = \"json\""),
    ] {
        check(setup, async |daemon| {
            let log = eventually("it says that it serves", || {
                Some(daemon.log()).filter(|log| log.contains("serves") && log.ends_with('\n'))
            });
            for line in log.lines() {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(record["level"].is_string() && record["fields"].is_object());
            }
        });
    }
}
