//! The bench gives its rows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_tests::harness::programs::{DAEMON, program};
use std::process::Command;

#[test]
fn a_short_run_gives_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let output = Command::new(program("mpfork-bench"))
        .args(["--quick", "--rounds", "2", "--batch", "20", "--json"])
        .arg(&json)
        .arg("--mpforkd")
        .arg(program(DAEMON))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("target: a worker takes at most 3 times raw"),
        "{table}"
    );

    let report = std::fs::read_to_string(&json).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let mut found = Vec::new();
    for row in report["rows"].as_array().unwrap() {
        let contender = row["contender"].as_str().unwrap();
        let preload = row["preload_mb"].as_u64().unwrap();
        let figure = row["figure"].as_str().unwrap();
        let outstanding = row["outstanding"].as_u64().unwrap();
        found.push((contender, preload, figure, outstanding));
        assert_eq!(row["samples"], if preload == 0 { 40 } else { 4 });
        let number = |name: &str| row[name].as_f64().unwrap();
        let (p50, p95, p99) = (number("p50_us"), number("p95_us"), number("p99_us"));
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{row}");
        assert!(number("rate_per_s") > 0.0, "{row}");
    }
    let rows = [
        ("raw", 0),
        ("posix_spawn", 0),
        ("mpforkd", 0),
        ("mpforkd-spares", 0),
        ("embedded", 0),
        ("mpfork-fork", 0),
        ("mpfork-spawn", 0),
        ("raw", 100),
        ("mpforkd", 100),
        ("mpforkd-spares", 100),
        ("embedded", 100),
        ("mpfork-fork", 100),
    ];
    let mut expected = Vec::new();
    for (name, preload) in rows {
        expected.push((name, preload, "exit_known", 1));
        expected.push((name, preload, "exit_known", 16));
        if name != "posix_spawn" {
            expected.push((name, preload, "first_instruction", 1));
        }
    }
    assert_eq!(found, expected);
    assert!(report["host"]["cpus"].as_u64().unwrap() > 0);
}
