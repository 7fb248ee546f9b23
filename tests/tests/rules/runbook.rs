//! The runbook: its commands are real, and it has every limit.

use super::sources::{files, read};

/// Commands of the system that it uses.
const SYSTEM: [&str; 10] = [
    "cat",
    "chmod",
    "coredumpctl",
    "curl",
    "id",
    "journalctl",
    "ls",
    "ss",
    "systemctl",
    "systemd-cgtop",
];

/// Each line of its shell blocks, and each span of code that begins with a program of ours.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block: Option<bool> = None;
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = block.is_none().then_some(kind == "sh");
            continue;
        }
        match block {
            Some(true) => commands.push(line.to_owned()),
            Some(false) => {}
            None => {
                let spans = line.split('`').skip(1).step_by(2);
                let ours = |span: &&str| {
                    let first = span.split(' ').next();
                    first == Some("mpctl") || first == Some("mpforkd")
                };
                // A program's name alone is no command, nor is what stands for a message.
                let spans = spans.filter(ours).filter(|span| span.contains(' '));
                commands.extend(spans.map(str::to_owned));
            }
        }
    }
    commands
}

/// Whether the program takes this command line, by its own definition.
fn is_taken(words: &[String]) -> Result<(), String> {
    let command = match words[0].as_str() {
        "mpctl" => mpctl::command(),
        "mpforkd" => mpforkd::command(),
        other if SYSTEM.contains(&other) => return Ok(()),
        other => return Err(format!("{other} is not known")),
    };
    match command.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_command_of_the_runbook_is_taken() {
    let commands = commands(&read("deploy/RUNBOOK.md"));
    let mut ours = 0;
    for command in &commands {
        let mut words = shlex::split(command).unwrap_or_else(|| panic!("{command}"));
        if words.starts_with(&["sudo".to_owned(), "-u".to_owned()]) {
            words.drain(..3);
        }
        if let Err(error) = is_taken(&words) {
            panic!("`{command}` is not taken: {error}");
        }
        ours += usize::from(words[0].starts_with("mp"));
    }
    assert!(ours > 25, "{commands:?}");
}

#[test]
fn a_wrong_command_is_found() {
    let text = "```sh\nmpctl status\n```\n`mpctl frobnicate now` and `mpctl`\n```\nmpctl x\n```";
    let commands = commands(text);
    assert_eq!(commands, ["mpctl status", "mpctl frobnicate now"]);
    let taken = commands
        .iter()
        .map(|c| is_taken(&shlex::split(c).unwrap()).is_ok());
    assert_eq!(taken.collect::<Vec<_>>(), [true, false]);
    assert!(is_taken(&["rm".to_owned()]).is_err());
}

/// The names that are written down where a limit is told.
fn limits(source: &str) -> Vec<&str> {
    let told = source.split("Problem::limit(").skip(1);
    let names = told.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    names.collect()
}

#[test]
fn every_limit_that_is_told_is_in_the_runbook() {
    let page = read("deploy/RUNBOOK.md");
    let (_, section) = page
        .split_once("\n## Starts are refused by a limit\n")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<&str> = rows
        .flat_map(|row| {
            row.split(" | ")
                .next()
                .unwrap()
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .collect();
    let mut told = 0;
    for path in files("daemon/src", &["rs"]) {
        for name in limits(&read(&path)) {
            assert!(named.contains(&name), "{}: {name}", path.display());
            told += 1;
        }
    }
    assert!(told > 10, "{told}");
}

#[test]
fn a_limit_is_found_on_its_own_line_too() {
    let source =
        "Problem::limit(\n    \"a\", 1); Problem::limit(name, 2); Problem::limit(\"b c\", 3)";
    assert_eq!(limits(source), ["a", "b c"]);
}
