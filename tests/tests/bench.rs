//! The bench gives all its figures, judges each target, and leaves nothing behind.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_tests::harness::programs::{DAEMON, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// In the order of the report: those that preload, and those that execute a program.
const PRELOADING: [&str; 6] = [
    "raw",
    "mpforkd",
    "mpforkd-spares",
    "embedded",
    "mpfork-fork",
    "cpython-fork",
];
/// Where nothing is preloaded.
const BY_DEFAULT: &str = "mpforkd-default";
const EXECUTING: [&str; 5] = [
    "posix-spawn",
    "mpfork-spawn",
    "procspawn",
    "cpython-forkserver-bare",
    "cpython-spawn",
];

fn bench() -> Command {
    let mut bench = Command::new(program("mpfork-bench"));
    bench.arg("--mpforkd").arg(program(DAEMON));
    bench
}

fn number(row: &Value, name: &str) -> f64 {
    let value = row[name].as_f64();
    value.unwrap_or_else(|| panic!("{name} of {row}"))
}

fn rows<'a>(report: &'a Value, name: &str) -> &'a Vec<Value> {
    report[name].as_array().unwrap_or_else(|| panic!("{name}"))
}

fn contenders(rows: &[Value]) -> BTreeSet<&str> {
    rows.iter()
        .map(|row| row["contender"].as_str().unwrap())
        .collect()
}

#[test]
fn a_short_run_gives_every_figure_of_every_contender() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (
        folder.path().join("figures.json"),
        folder.path().join("figures.svg"),
    );
    let output = bench()
        .args(["--tiny", "--peers", "--json"])
        .arg(&json)
        .arg("--svg")
        .arg(&svg)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "LATENCY",
        "ALONE",
        "THROUGHPUT",
        "BURST",
        "MEMORY",
        "STARTS",
        "DRIFT",
        "WRITERS",
        "TARGETS",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(number(&report["host"], "cpus") > 0.0);
    assert!(number(&report["host"], "foreign_load") >= 0.0);
    // Not every kernel collapses memory into huge pages.
    let skipped = rows(&report, "skipped")
        .iter()
        .map(|line| line.as_str().unwrap());
    let (uncompacted, skipped): (Vec<_>, Vec<_>) =
        skipped.partition(|line| line.starts_with("raw-compacted: no huge pages"));
    assert!(skipped.is_empty(), "{skipped:?}");
    let compacted: &[&str] = if uncompacted.is_empty() {
        &["raw-compacted"]
    } else {
        &[]
    };

    latencies(&report, compacted);
    let (preloading, executing) = (BTreeSet::from(PRELOADING), BTreeSet::from(EXECUTING));
    let mut all: BTreeSet<_> = preloading.union(&executing).copied().collect();
    all.extend(["cpython-forkserver", BY_DEFAULT]);
    let alone = rows(&report["alone"], "starts");
    assert_eq!(contenders(alone), all);
    // Of posix-spawn's there is no first instruction to be told.
    assert_eq!(alone.len(), 2 * all.len() - 1);
    for start in alone {
        let (p50, p99) = (number(start, "p50_us"), number(start, "p99_us"));
        assert!(0.0 < p50 && p50 <= p99, "{start}");
    }
    let rates = rows(&report, "rates");
    assert_eq!(contenders(rates), all);
    assert_eq!(rates.len(), 3 * all.len());
    for rate in rates {
        assert!(number(rate, "per_s") > 0.0, "{rate}");
    }
    let bursts = rows(&report["bursts"], "bursts");
    // CPython's spawn is left out where it would take too long.
    assert!(contenders(bursts).is_superset(&preloading), "{bursts:?}");
    for burst in bursts {
        let stays = burst["contender"] != "posix-spawn";
        assert!(number(burst, "ended_ms") > 0.0, "{burst}");
        assert_eq!(burst["alive_ms"].as_f64().is_some(), stays, "{burst}");
        assert_eq!(burst["processes"], if stays { 24 } else { 12 }, "{burst}");
    }
    all.remove("posix-spawn");
    let idle = rows(&report, "idle");
    assert_eq!(contenders(idle), all);
    for idle in idle {
        let part = |name| number(idle, name);
        let private = part("private_kib");
        assert!(
            0.0 < private && private <= part("proportional_kib"),
            "{idle}"
        );
        assert!(part("proportional_kib") <= part("resident_kib"), "{idle}");
    }
    let crowd = &report["crowd"];
    assert_eq!(crowd["alive"], 20);
    assert_eq!(
        contenders(rows(crowd, "starts")),
        BTreeSet::from(["raw", "mpforkd"])
    );
    assert!(
        number(crowd, "daemon_descriptors_per_worker") >= 1.0,
        "{crowd}"
    );
    assert!(number(&report["drift"], "last_us") > 0.0);
    let writers = rows(&report, "writers");
    assert_eq!(
        contenders(writers),
        compacted
            .iter()
            .chain(&["raw", "mpforkd"])
            .copied()
            .collect()
    );
    for writers in writers {
        // Everybody has all of it, most of it shared.
        let proportional = number(writers, "proportional_mb");
        assert!((20.0..60.0).contains(&proportional), "{writers}");
    }
    targets(&report);

    let drawing = std::fs::read_to_string(&svg).unwrap();
    assert!(
        drawing.starts_with("<svg") && drawing.ends_with("</svg>\n"),
        "{drawing}"
    );
    for name in PRELOADING {
        assert!(drawing.contains(&format!(">{name}<")), "{name}: {drawing}");
    }
}

fn latencies(report: &Value, compacted: &[&'static str]) {
    let mut found = BTreeSet::new();
    for row in rows(report, "latencies") {
        let (p50, p95, p99) = (
            number(row, "p50_us"),
            number(row, "p95_us"),
            number(row, "p99_us"),
        );
        assert!(0.0 < p50 && p50 <= p95 && p95 <= p99, "{row}");
        // Two turns of four each, fewer where they take long.
        assert!((2.0..=8.0).contains(&number(row, "samples")), "{row}");
        let size = |name| row[name].as_u64().unwrap();
        found.insert((
            row["contender"].as_str().unwrap(),
            size("preload_mb"),
            size("beside_mb"),
            row["figure"].as_str().unwrap(),
        ));
    }
    let mut expected = BTreeSet::new();
    for figure in ["exit_known", "first_instruction"] {
        for name in PRELOADING
            .iter()
            .chain(&EXECUTING)
            .chain(&["cpython-forkserver", BY_DEFAULT])
        {
            if (*name, figure) != ("posix-spawn", "first_instruction") {
                expected.insert((*name, 0, 0, figure));
            }
        }
        for name in PRELOADING
            .iter()
            .chain(&["mpforkd-shared", "cpython-forkserver"])
            .chain(compacted)
        {
            expected.insert((*name, 20, 20, figure));
        }
        for name in ["raw", "mpforkd"] {
            expected.insert((name, 0, 20, figure));
        }
    }
    assert_eq!(found, expected);
    let spares = rows(report, "spares");
    assert_eq!(
        contenders(spares),
        BTreeSet::from([BY_DEFAULT, "mpforkd-spares"])
    );
    assert_eq!(spares.len(), 3, "{spares:?}");
    let spares = spares.iter();
    for spares in spares.filter(|spares| spares["contender"] != BY_DEFAULT) {
        // They all wait before each turn, which is no longer. One that does not answer in time is replaced.
        let (starts, by_spare) = (number(spares, "starts"), number(spares, "by_spare"));
        assert!(starts >= 4.0 && by_spare >= starts * 0.75, "{spares}");
    }
}

fn targets(report: &Value) {
    let targets = rows(report, "targets");
    for target in targets {
        let measured = target["measured"].as_f64();
        let met = |measured: f64| match target["at"].as_str().unwrap() {
            "most" => measured <= number(target, "bound"),
            _ => measured >= number(target, "bound"),
        };
        let verdict = match measured.map(met) {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not_measured",
        };
        assert_eq!(target["verdict"], verdict, "{target}");
        // Only the sizes that were not asked for are missing.
        let what = target["what"].as_str().unwrap();
        let large = what.contains("1000 MB") || what.contains("4000 MB");
        assert_eq!(measured.is_none(), large, "{target}");
        assert!(
            measured.is_some() || !target["note"].as_str().unwrap().is_empty(),
            "{target}"
        );
    }
    assert!(targets.len() > 15, "{targets:?}");
}

/// The processes with this in their environment: helpers, what they fork, and daemons.
fn left(mark: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let commands = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let environment = std::fs::read(path.join("environ")).ok()?;
        let marked = environment
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes());
        marked.then(|| path.display().to_string())
    });
    commands.collect()
}

#[test]
fn interrupted_it_leaves_nothing_behind() {
    let mark = format!("MPFORK_BENCH_TEST={}", std::process::id());
    let (name, value) = mark.split_once('=').unwrap();
    let mut running = bench()
        .args(["--tiny", "--only", "latency,rate,burst"])
        .env(name, value)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let seen = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("preloaded"));
    assert!(seen.is_some(), "it never began");
    assert!(left(&mark).len() > 3, "{:?}", left(&mark));
    kill(
        Pid::from_raw(running.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    let status = running.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{said:?}");
    let last = said.last().unwrap();
    assert!(last.contains("ended by SIGTERM"), "{said:?}");
    // Zygotes have an environment of their own. It waits for them, too, or complains.
    assert!(!last.contains("did not end"), "{said:?}");
    assert_eq!(left(&mark), Vec::<String>::new());
}

#[test]
fn its_help_names_what_can_be_measured() {
    let output = bench().arg("--help").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    for word in [
        "--quick",
        "--peers",
        "--only",
        "--contenders",
        "--sizes",
        "--json",
        "--svg",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    for part in [
        "latency",
        "alone",
        "rate",
        "burst",
        "memory",
        "crowd",
        "drift",
        "writers",
        "procspawn",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(
        !help.contains("--tiny") && !help.contains("--helper"),
        "{help}"
    );
}

#[test]
fn what_there_is_no_room_for_is_skipped_and_said() {
    let output = bench()
        .args([
            "--tiny",
            "--only",
            "latency",
            "--sizes",
            "1000000000",
            "--contenders",
            "raw",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let said = "1000000000 MB preloaded: two processes need";
    assert!(text.contains(said), "{text}");
    assert!(text.contains("not measured"), "{text}");
}
