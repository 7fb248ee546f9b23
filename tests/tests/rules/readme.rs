//! What the README says is so.

use super::sources::{read, root};
use mpfork_proto::reason::{TABLE, code};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// What this variable is set for, the README's tables are written anew instead of compared.
const UPDATE: &str = "MPFORK_UPDATE_README";

fn code_name(code: i32) -> &'static str {
    match code {
        code::INVALID_ARGUMENT => "INVALID_ARGUMENT",
        code::DEADLINE_EXCEEDED => "DEADLINE_EXCEEDED",
        code::NOT_FOUND => "NOT_FOUND",
        code::PERMISSION_DENIED => "PERMISSION_DENIED",
        code::RESOURCE_EXHAUSTED => "RESOURCE_EXHAUSTED",
        code::FAILED_PRECONDITION => "FAILED_PRECONDITION",
        code::ABORTED => "ABORTED",
        code::INTERNAL => "INTERNAL",
        code::UNAVAILABLE => "UNAVAILABLE",
        other => panic!("code {other} has no name"),
    }
}

fn error_table() -> String {
    let mut table =
        "| reason | gRPC code | exit code | what to do |\n| --- | --- | --- | --- |\n".to_owned();
    for row in TABLE {
        table.push_str(&format!(
            "| `{}` | `{}` | {} | {} |\n",
            row.reason.wire_name(),
            code_name(row.grpc_code),
            row.exit_code,
            row.advice
        ));
    }
    table
}

fn feature_table() -> String {
    let mut table = "| feature | Linux | without it |\n| --- | --- | --- |\n".to_owned();
    for (feature, name, without) in mpforkd::features::FEATURES {
        let since = match feature {
            mpforkd::features::Feature::Fork => "any",
            mpforkd::features::Feature::ExitInfo => "6.15",
            mpforkd::features::Feature::GroupSignal => "6.9",
            mpforkd::features::Feature::PeerPidfd => "6.5",
            mpforkd::features::Feature::Collapse => "6.1",
        };
        let without = without.trim_start_matches("without it ");
        table.push_str(&format!("| `{name}` | {since} | {without} |\n"));
    }
    table
}

/// Compares what is between a table's marks.
fn check(mark: &str, table: &str) {
    let readme = read("README.md");
    let (start, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let from = readme.find(&start).expect("the table's start") + start.len();
    let to = from + readme[from..].find(&end).expect("the table's end");
    if std::env::var_os(UPDATE).is_some() {
        let text = format!("{}{table}{}", &readme[..from], &readme[to..]);
        std::fs::write(root().join("README.md"), text).unwrap();
    } else {
        assert_eq!(
            &readme[from..to],
            table,
            "{UPDATE}=1 cargo test -p mpfork-tests --test rules -- --test-threads 1 writes it anew"
        );
    }
}

#[test]
fn the_error_table_is_that_of_the_contract() {
    check("errors", &error_table());
}

#[test]
fn the_feature_table_is_that_of_the_daemon() {
    check("features", &feature_table());
}

fn overrides_table() -> String {
    let mut table = "| variable | what it is |\n| --- | --- |\n".to_owned();
    for (name, what) in mpfork::__private::OVERRIDES {
        table.push_str(&format!("| `{name}` | {what} |\n"));
    }
    table
}

#[test]
fn the_tables_of_environment_overrides_are_those_of_the_crate() {
    check("overrides", &overrides_table());
    let commented: String = overrides_table()
        .lines()
        .map(|line| format!("//! {line}\n"))
        .collect();
    let front_page = read("client/src/lib.rs");
    assert!(
        front_page.contains(&commented),
        "expected there:\n{commented}"
    );
}

#[test]
fn every_variable_that_the_crate_reads_is_in_the_table() {
    let mut seen = Vec::new();
    for path in super::sources::files("client/src", &["rs"]) {
        let text = read(&path);
        // Its tests set what they like.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for quoted in text.split("\"MPFORK").skip(1) {
            // A message may begin with one.
            let end = quoted
                .find(|c: char| !c.is_ascii_uppercase() && c != '_')
                .unwrap();
            seen.push(format!("MPFORK{}", &quoted[..end]));
        }
    }
    assert!(seen.len() >= 2, "{seen:?}");
    for name in seen {
        let known = mpfork::__private::OVERRIDES.iter().any(|row| row.0 == name);
        assert!(known, "{name} is not in client/src/overrides.rs");
    }
}

#[test]
fn its_configuration_is_valid() {
    let readme = read("README.md");
    let mut blocks = readme.split("```toml\n").skip(1).peekable();
    assert!(blocks.peek().is_some());
    for block in blocks {
        let config = block.split("```").next().unwrap();
        toml::from_str::<mpforkd::config::Config>(config).unwrap();
    }
}

/// The commands in the README's blocks of shell code.
fn commands() -> Vec<String> {
    let readme = read("README.md");
    let blocks = readme.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    // A comment, or where a command stands alone in the background.
    let line = |line: &str| {
        line.split(" #")
            .next()
            .unwrap()
            .trim_end_matches('&')
            .trim()
            .to_owned()
    };
    lines.map(line).filter(|line| !line.is_empty()).collect()
}

fn help(program: &str, args: &[&str]) -> Option<String> {
    let program = mpfork_tests::harness::programs::program(program);
    let output = Command::new(program)
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(help)
}

#[test]
fn its_commands_exist() {
    let commands = commands();
    assert!(commands.len() > 3, "{commands:?}");
    for command in commands {
        // Variables set in front of it are no part of it.
        let words: Vec<_> = command
            .split_whitespace()
            .skip_while(|word| {
                word.split_once('=')
                    .is_some_and(|(name, _)| !name.contains('-'))
            })
            .collect();
        let exists = match words.as_slice() {
            [
                "cargo",
                "bench" | "run" | "build" | "test" | "install",
                args @ ..,
            ] => cargo_knows(args),
            [
                "cargo",
                "+nightly",
                "fuzz",
                "run",
                "--fuzz-dir",
                folder,
                target,
            ] => {
                let target = root().join(folder).join("targets").join(target);
                target.with_extension("rs").exists()
            }
            [program, args @ ..] if program.starts_with("./target/") || !program.contains('/') => {
                program_knows(program.rsplit('/').next().unwrap(), args)
            }
            [script, args @ ..] => {
                let metadata = std::fs::metadata(root().join(script)).expect(script);
                let source = read(script);
                metadata.permissions().mode() & 0o111 != 0
                    && args.iter().all(|arg| source.contains(arg))
            }
            [] => false,
        };
        assert!(exists, "there is no such command: {command}");
    }
}

fn cargo_knows(args: &[&str]) -> bool {
    let after = |flag: &str| args.iter().skip_while(|arg| **arg != flag).nth(1).copied();
    let file = |flag, folders: &[&str]| {
        after(flag).is_none_or(|name| {
            let exists = |folder: &&str| {
                let path = root().join(folder).join(name);
                path.with_extension("rs").exists() || path.join("main.rs").exists()
            };
            folders.iter().any(exists) || ["mpforkd", "mpctl"].contains(&name)
        })
    };
    file("--example", &["client/examples"])
        && file("--bin", &["tests/src/bin"])
        && file("--bench", &["tests/benches"])
}

fn program_knows(program: &str, args: &[&str]) -> bool {
    if !["mpforkd", "mpctl"].contains(&program) {
        return ["cd", "export", "git", "sudo", "systemctl"].contains(&program);
    }
    // The verb, and that of templates.
    let is_verb = |arg: &str| {
        arg.starts_with(|c: char| c.is_ascii_lowercase())
            && arg.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let verbs = args.iter().take_while(|arg| is_verb(arg));
    let verbs: Vec<_> = match args {
        ["template", ..] => verbs.take(2).copied().collect(),
        _ => verbs.take(1).copied().collect(),
    };
    let Some(help) = help(&format!("{program}-under-test"), &verbs) else {
        return false;
    };
    let flags = args.iter().take_while(|arg| **arg != "--");
    flags
        .filter(|arg| arg.starts_with("--"))
        .all(|flag| help.contains(flag))
}
