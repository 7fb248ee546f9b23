//! Manual pages and completions are those of the command lines as they are.

use super::sources::root;
use clap_complete::Shell;
use clap_mangen::Man;
use std::collections::BTreeMap;
use std::path::Path;

/// When this variable is set, the files are written anew instead of compared.
const UPDATE: &str = "MPFORK_UPDATE_DEPLOY";

type Files = BTreeMap<String, Vec<u8>>;

fn pages() -> Files {
    let mut pages = Files::new();
    add_pages(&mut pages, mpforkd::command(), "8");
    let mut mpctl = mpctl::command().disable_help_subcommand(true);
    mpctl.build();
    add_pages(&mut pages, mpctl, "1");
    pages
}

/// A command's page, and those of what it is made of.
fn add_pages(pages: &mut Files, command: clap::Command, section: &str) {
    for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
        add_pages(pages, part.clone(), section);
    }
    let source = concat!("mpfork ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command)
        .section(section)
        .source(source)
        .manual("mpfork");
    pages.insert(page.get_filename(), self::page(&page));
}

fn completions() -> Files {
    let mut scripts = Files::new();
    for (name, command) in [("mpctl", mpctl::command()), ("mpforkd", mpforkd::command())] {
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Fish, format!("{name}.fish")),
            (Shell::Zsh, format!("_{name}")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name, &mut script);
            assert!(printed(name, shell) == script, "{name} prints another one");
            scripts.insert(file, script);
        }
    }
    scripts
}

/// What the program itself prints for a shell.
fn printed(name: &str, shell: Shell) -> Vec<u8> {
    let asked = match name {
        "mpctl" => ["completions".to_owned(), shell.to_string()],
        _ => ["--completions".to_owned(), shell.to_string()],
    };
    let program = mpfork_tests::harness::programs::program(&format!("{name}-under-test"));
    let output = std::process::Command::new(program).args(asked).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A manual page, with the examples at its end as they were written.
fn page(page: &Man) -> Vec<u8> {
    let mut text = Vec::new();
    page.render(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let Some((before, extra)) = text.split_once(".SH EXTRA\n") else {
        return text.into();
    };
    let (extra, after) = match extra.split_once(".SH ") {
        Some((extra, after)) => (extra, format!(".SH {after}")),
        None => (extra, String::new()),
    };
    format!("{before}.SH NOTES\n.nf\n{extra}.fi\n{after}").into()
}

fn check(folder: &str, expected: Files) {
    let folder = root().join(folder);
    if std::env::var_os(UPDATE).is_some() {
        write(&folder, &expected);
    }
    let entries = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    let found: Files = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    let hint = format!(
        "{UPDATE}=1 cargo test -p mpfork-tests --test rules -- generated writes {} anew",
        folder.display()
    );
    assert_eq!(names(&found), names(&expected), "{hint}");
    for (name, text) in &expected {
        assert!(found[name] == *text, "{name} is not current: {hint}");
    }
}

fn write(folder: &Path, files: &Files) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn manual_pages_are_current() {
    let pages = pages();
    for name in [
        "mpforkd.8",
        "mpctl.1",
        "mpctl-run.1",
        "mpctl-template-warm.1",
    ] {
        assert!(pages.contains_key(name), "{name} of {:?}", pages.keys());
    }
    check("deploy/man", pages);
}

#[test]
fn completions_are_current() {
    check("deploy/completions", completions());
}
