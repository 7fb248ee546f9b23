//! The example counts right, and its zygote is warm for the next program.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may panic.

use mpfork_tests::harness::programs::program;
use mpfork_tests::harness::{Daemon, Setup, check};
use std::process::{Command, Output};

/// The counts of o200k_base as published in OpenAI's cookbook, "How to count tokens with Tiktoken":
/// the first three in its section 5, "Comparing encodings", the last in its section 3.
const PUBLISHED: [(&str, usize); 4] = [
    ("antidisestablishmentarianism", 6),
    ("2 + 2 = 4", 7),
    ("お誕生日おめでとう", 8),
    ("tiktoken is great!", 6),
];

fn count_tokens(daemon: &Daemon, files: &[&str]) -> Output {
    Command::new(program("count-tokens-under-test"))
        .args(files)
        .current_dir(daemon.folder().path())
        .env("MPFORKD_SOCKET", daemon.socket())
        .output()
        .unwrap()
}

/// The table's rows: tokens and file.
fn rows(output: &Output) -> Vec<(usize, String)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let row = |line: &str| {
        let (tokens, file) = line.trim().split_once("  ")?;
        Some((tokens.parse().ok()?, file.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn counts_are_those_published() {
    check(Setup::new(), async |daemon| {
        let names: Vec<_> = (0..PUBLISHED.len()).map(|n| format!("{n}.txt")).collect();
        let mut expected = Vec::new();
        for (name, (text, tokens)) in names.iter().zip(PUBLISHED) {
            std::fs::write(daemon.path(name), text).unwrap();
            expected.push((tokens, name.clone()));
        }
        let total = PUBLISHED.iter().map(|(_, tokens)| tokens).sum();
        expected.push((total, "total".to_owned()));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        // Twice: the second program is another process and finds the zygote warm.
        for _ in 0..2 {
            let output = count_tokens(daemon, &names);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(rows(&output), expected);
            let text = String::from_utf8(output.stdout).unwrap();
            for cost in ["until the first worker", "cold:", "warm:"] {
                assert!(text.contains(cost), "{text}");
            }
        }
        let launched = daemon.log().matches("zygote launched").count();
        assert_eq!(launched, 1, "{}", daemon.log());
    });
}

#[test]
fn without_files_it_explains_itself() {
    check(Setup::new(), async |daemon| {
        let output = count_tokens(daemon, &[]);
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("usage"), "{errors}");
    });
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_counted() {
    check(Setup::new(), async |daemon| {
        std::fs::write(daemon.path("there.txt"), "2 + 2 = 4").unwrap();
        std::fs::write(daemon.path("binary"), [0xff, 0xfe]).unwrap();
        let output = count_tokens(daemon, &["missing.txt", "there.txt", "binary"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let counted = [(7, "there.txt".to_owned()), (7, "total".to_owned())];
        assert_eq!(rows(&output), counted);
        let errors = String::from_utf8(output.stderr).unwrap();
        // Each written at once; what a worker says itself may come in between.
        for error in ["missing.txt", "No such file", "binary", "UTF-8"] {
            assert!(errors.contains(error), "{errors}");
        }
    });
}
