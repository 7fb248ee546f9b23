//! Runs scenarios and compares what they told with what is expected.

use crate::expected::{expected, update};
use mpfork_tests::conformance::{Built, SCENARIOS, Told, Way, can_build, run};

/// What is wrong with a scenario, if anything is.
pub(crate) fn wrong(way: Way, built: Built, subject: &str, scenario: &str) -> Option<String> {
    let told = run(way, built, subject, scenario);
    let updated = built == Built::ToUnwind && update(way, subject, scenario, &told.said);
    let expected = match updated {
        true => &told.said,
        false => expected(way, built, subject, scenario),
    };
    let Told {
        said,
        complained,
        ended,
        left,
    } = &told;
    let fine = said == expected && ended == "code 0" && left.is_empty();
    (!fine).then(|| {
        format!(
            "{subject}::{scenario} by {} ended with {ended}, left {left:?}\n--- it said:\n{said}\
             --- expected:\n{expected}--- standard error:\n{complained}---",
            way.name()
        )
    })
}

pub(crate) fn check(way: &str, subject: &str, scenario: &str) {
    if let Some(wrong) = wrong(Way::named(way), Built::ToUnwind, subject, scenario) {
        panic!("{wrong}");
    }
}

/// The subjects to which it matters whether panics abort.
const ABORTING: [&str; 3] = ["errors", "panics", "results"];

pub(crate) fn check_aborting(way: &str) {
    if !can_build() {
        eprintln!("skipped: needs cargo and the sources, to build the program");
        return;
    }
    let way = Way::named(way);
    let scenarios = SCENARIOS.iter();
    let scenarios = scenarios.filter(|(subject, _)| ABORTING.contains(subject));
    // One is enough of the large ones.
    let scenarios = scenarios.filter(|(_, scenario)| *scenario != "of_256_mib");
    let wrong: Vec<_> = scenarios
        .filter_map(|(subject, scenario)| wrong(way, Built::ToAbort, subject, scenario))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
