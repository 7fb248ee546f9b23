//! The table of the suite: scenarios by ways of starting processes.

use crate::checks::wrong;
use crate::expected::{SAID, sections};
use mpfork_tests::conformance::differences::DIFFERENCES;
use mpfork_tests::conformance::{Built, SCENARIOS, Way};

/// The table of differences, as the crate's page has it.
fn differences() -> String {
    let mut table = "| what | usually | by `fork` | by `spawn` | by an embedded forkserver |\n\
                     | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for known in DIFFERENCES {
        let by = |way: &str| {
            let other = known.others.iter().find(|(other, _)| *other == way);
            other.map_or("", |(_, how)| how)
        };
        let ways = [by("fork"), by("spawn"), by("embedded")];
        table.push_str(&format!("| {} | {} |", known.what, known.usually));
        ways.iter()
            .for_each(|how| table.push_str(&format!(" {how} |")));
        table.push('\n');
    }
    table
}

/// `MPFORK_UPDATE_README=1` writes it.
#[test]
fn the_crates_page_tells_the_differences() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/src/differences.md");
    if std::env::var_os("MPFORK_UPDATE_README").is_some() {
        std::fs::write(&path, differences()).unwrap();
    }
    let Ok(page) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: needs the sources");
        return;
    };
    assert_eq!(page, differences());
}

/// Runs everything and prints the table.
#[test]
#[ignore = "runs everything once more, to print a table of it"]
fn table() {
    let mut table = "| scenario |".to_owned();
    for way in Way::ALL {
        table.push_str(&format!(" {} |", way.name()));
    }
    table.push_str(&format!("\n| --- |{}\n", " --- |".repeat(Way::ALL.len())));
    let mut all_wrong = Vec::new();
    for (subject, scenario) in SCENARIOS {
        table.push_str(&format!("| {subject}::{scenario} |"));
        for way in Way::ALL {
            let wrong = wrong(way, Built::ToUnwind, subject, scenario);
            table.push_str(if wrong.is_none() {
                " ok |"
            } else {
                " **no** |"
            });
            all_wrong.extend(wrong);
        }
        table.push('\n');
    }
    println!("{table}\n{}", differences());
    assert!(all_wrong.is_empty(), "{}", all_wrong.join("\n"));
}

/// What scenarios ask the table of differences is in it, and nothing is in it that none asks.
#[test]
fn differences_are_pinned() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/conformance");
    let Ok(entries) = std::fs::read_dir(folder) else {
        eprintln!("skipped: needs the sources");
        return;
    };
    let mut asked: Vec<String> = entries
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .flat_map(|source| {
            let calls = source.split("differs(\"").skip(1);
            let names = calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
            names.collect::<Vec<_>>()
        })
        .collect();
    asked.sort();
    asked.dedup();
    let mut known: Vec<_> = DIFFERENCES.iter().map(|known| known.name).collect();
    known.sort_unstable();
    assert_eq!(asked, known);
    for (way, _) in DIFFERENCES.iter().flat_map(|known| known.others) {
        let _ = Way::named(way);
    }
}

/// No section is left of a scenario that is gone or has another name.
#[test]
fn nothing_else_is_expected() {
    for (subject, file) in SAID {
        for (title, _) in sections(file) {
            let (name, of) = match title.split_once(" (") {
                Some((name, of)) => (name, of.strip_suffix(')').unwrap()),
                None => (title, "abort"),
            };
            assert!(
                SCENARIOS.contains(&(subject, name)),
                "{subject}: {title} is no scenario"
            );
            assert!(of == "abort" || Way::ALL.contains(&Way::named(of)));
        }
    }
}
