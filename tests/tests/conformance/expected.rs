//! What scenarios must print. A file for each subject, a section for each scenario that prints something,
//! and further ones for the ways and builds that differ from the others: `## scenario`,
//! `## scenario (fork)`, `## scenario (abort)`.
//!
//! `MPFORK_UPDATE_CONFORMANCE=mpforkd` with `--test-threads 1 mpforkd::` writes what they print; with the
//! name of another way, and its tests, what they print differently there.

use mpfork_tests::conformance::{Built, Way};
use std::path::Path;

macro_rules! said {
    (; $($subject:ident { $($scenario:ident)* })*) => {
        /// The subjects' files.
        pub(crate) const SAID: &[(&str, &str)] = &[
            $((stringify!($subject), include_str!(concat!("said/", stringify!($subject), ".md"))),)*
        ];
    };
}
crate::scenarios!(said);

/// The sections of a file: title and text.
pub(crate) fn sections(file: &str) -> Vec<(&str, &str)> {
    let parts = file.split("## ").skip(1);
    parts
        .filter_map(|part| part.split_once("\n```text\n"))
        .filter_map(|(title, text)| Some((title, text.rsplit_once("```")?.0)))
        .collect()
}

pub(crate) fn expected(way: Way, built: Built, subject: &str, scenario: &str) -> &'static str {
    let (_, file) = SAID.iter().find(|(of, _)| *of == subject).unwrap();
    let all = sections(file);
    let titled = |title: &str| {
        all.iter()
            .find(|(of, _)| *of == title)
            .map(|(_, text)| *text)
    };
    let aborting = (built == Built::ToAbort).then(|| titled(&format!("{scenario} (abort)")));
    aborting
        .flatten()
        .or_else(|| titled(&format!("{scenario} ({})", way.name())))
        .or_else(|| titled(scenario))
        .unwrap_or("")
}

/// Writes what a scenario said, when it was asked for; false when it was not.
pub(crate) fn update(way: Way, subject: &str, scenario: &str, said: &str) -> bool {
    let asked = std::env::var("MPFORK_UPDATE_CONFORMANCE");
    if asked.as_deref() != Ok(way.name()) {
        return false;
    }
    let path = format!("tests/conformance/said/{subject}.md");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    let (title, unneeded) = match way {
        Way::Mpforkd => (scenario.to_owned(), ""),
        _ => {
            let all = sections(&file);
            let usual = all.into_iter().find(|(title, _)| *title == scenario);
            let title = format!("{scenario} ({})", way.name());
            (title, usual.map_or("", |(_, said)| said))
        }
    };
    let mut sections: Vec<_> = sections(&file)
        .into_iter()
        .filter(|(of, _)| *of != title)
        .chain((said != unneeded).then_some((title.as_str(), said)))
        .collect();
    sections.sort_unstable();
    let mut text = format!("# What the scenarios of `{subject}` print\n");
    for (title, said) in sections {
        text.push_str(&format!("\n## {title}\n```text\n{said}```\n"));
    }
    std::fs::write(path, text).unwrap();
    true
}
