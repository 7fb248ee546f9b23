//! The arguments of a worker that goes on with `main`, as the standard library gives them.
#![allow(clippy::unwrap_used)]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::{ROOM, Start, Zygote, read_all};
use mpfork_sys::title;

/// What a worker sees.
struct Seen {
    /// The name that `std::env::args` gives.
    name: String,
    /// How many it gives after that, and the last of them.
    args: String,
    /// What ps(1) would show.
    title: String,
    not_applied: Vec<String>,
}

fn run(zygote: &mut Zygote, args: &[&str]) -> Seen {
    start(zygote, Start::main(args))
}

fn start(zygote: &mut Zygote, start: Start) -> Seen {
    let (start, output) = start.piped();
    let outcome = zygote.run(start);
    assert_eq!(outcome.code(), 0);
    let printed = read_all(output);
    let (_, seen) = printed.split_once("]: ").unwrap();
    let (args, title) = seen.lines().next().unwrap().split_once(" of ").unwrap();
    let (name, args) = args.split_once(" and ").unwrap();
    Seen {
        name: name.to_owned(),
        args: args.to_owned(),
        title: title.to_owned(),
        not_applied: outcome.applied().not_applied.clone(),
    }
}

#[test]
fn the_standard_library_gives_a_workers_own_arguments() {
    let mut zygote = Zygote::ready(&[], &[]);
    let seen = run(&mut zygote, &["standard", "", "zwölf drei"]);
    assert_eq!(seen.args, "3, the last \"zwölf drei\"");
    assert_eq!(seen.not_applied, Vec::<String>::new());
    // The next worker is not touched by that.
    let seen = run(&mut zygote, &["standard"]);
    assert_eq!(seen.name, "probe");
    assert_eq!(seen.args, "1, the last \"standard\"");
    assert_eq!(zygote.finish(), "");
}

#[test]
fn as_many_as_there_is_room_for() {
    let mut zygote = Zygote::ready(&[], &[]);
    let mut args = vec!["standard"];
    args.resize(ROOM, "x");
    let seen = run(&mut zygote, &args);
    assert_eq!(seen.args, format!("{ROOM}, the last \"x\""));
    assert_eq!(seen.not_applied, Vec::<String>::new());
    // One more: `args_os`, by which the probe goes, has them all the same.
    args.push("y");
    let seen = run(&mut zygote, &args);
    assert_eq!(seen.args, "0, the last \"probe\"");
    let expected = format!(
        "std::env::args: {} arguments, but there is room for {ROOM}; mpfork::args_os has them",
        ROOM + 1
    );
    assert_eq!(seen.not_applied, [expected]);
    assert_eq!(zygote.finish(), "");
}

#[test]
fn a_worker_may_have_another_name() {
    let mut zygote = Zygote::ready(&[], &[]);
    for name in ["./a rather longer name", "p", ""] {
        let seen = start(&mut zygote, Start::main(&["standard", "x"]).arg0(name));
        assert_eq!(seen.name, name);
        assert_eq!(seen.args, "2, the last \"x\"");
        if title::can_be_set() {
            assert_eq!(seen.title, format!("{name}|standard|x|"));
        }
        assert_eq!(seen.not_applied, Vec::<String>::new());
    }
    // It takes no room of the others, and where it can't be given it is told.
    let mut args = vec!["standard"];
    args.resize(ROOM, "x");
    let seen = start(&mut zygote, Start::main(&args).arg0("other"));
    assert_eq!(seen.name, "other");
    assert_eq!(seen.args, format!("{ROOM}, the last \"x\""));
    args.push("y");
    let seen = start(&mut zygote, Start::main(&args).arg0("other"));
    assert_eq!(seen.name, "probe");
    let told = &seen.not_applied[0];
    let expected = format!(
        "std::env::args: the program's name and {} arguments",
        ROOM + 1
    );
    assert!(told.starts_with(&expected), "{told}");
    assert_eq!(run(&mut zygote, &["standard"]).name, "probe");
    assert_eq!(zygote.finish(), "");
}

#[test]
fn titles_are_of_what_runs() {
    if !title::can_be_set() {
        eprintln!("skipped: this kernel does not let a process set its title");
        return;
    }
    let mut zygote = Zygote::ready(&[], &[]);
    // Without the room.
    let title = std::fs::read_to_string(format!("/proc/{}/cmdline", zygote.pid)).unwrap();
    assert_eq!(title, "probe\0");
    let seen = run(&mut zygote, &["standard", "", "a b"]);
    assert_eq!(seen.title, "probe|standard||a b|");
    assert_eq!(zygote.finish(), "");
}

#[test]
fn a_program_started_as_any_other_keeps_its_arguments() {
    let output = std::process::Command::new(common::PROBE)
        .args(["no", "such", ""])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "no such thing: [\"no\", \"such\", \"\"]\n");
}
