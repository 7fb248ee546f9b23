//! Commands.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Start, Zygote, read_all};
use mpfork_proto::link::{assigned_task, worker_report};

fn exec_failed(outcome: &common::Outcome) -> (i32, i32) {
    match outcome.reports.last() {
        Some(worker_report::Report::ExecFailed(failed)) => (failed.errno, outcome.code()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_runs_with_its_arguments_and_keeps_its_code() {
    let mut zygote = Zygote::ready(&[], &[]);
    let script = "echo $0 $1 $A; exit 3";
    let (start, output) = Start::command("/bin/sh", &["-c", script, "zero", "one"]).piped();
    let outcome = zygote.run(start.set("A", "two"));
    assert_eq!(outcome.code(), 3);
    // Its own socket has closed by the execution.
    assert_eq!(outcome.reports.len(), 1);
    assert_eq!(read_all(output), "zero one two\n");

    let mut start = Start::command("/bin/sh", &["-c", "echo $0"]);
    if let assigned_task::Task::Command(command) = &mut start.task {
        command.arg0 = Some(b"other".to_vec());
    }
    let (start, output) = start.piped();
    zygote.run(start);
    assert_eq!(read_all(output), "other\n");
}

#[test]
fn the_workers_path_is_searched() {
    let mut zygote = Zygote::ready(&["PATH=/nowhere"], &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // By a process of its own: what another test starts meanwhile would for a moment hold the
        // file open for writing, and nobody could execute it.
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", "printf %s \"$1\" > \"$0\" && chmod \"$2\" \"$0\""])
            .arg(&path)
            .args([text, &format!("{mode:o}")])
            .status();
        assert!(written.unwrap().success());
    };
    file("bin/hello", 0o755, "#!/bin/sh\necho hello\n");
    file("refused/hello", 0o644, "");
    file("refused/other", 0o644, "");
    file("odd/odd", 0o755, "echo a script without its first line");
    let root = folder.path().to_str().unwrap().to_owned();
    let mut run = |program: &str, path: Option<&str>| {
        let (start, output) = Start::command(program, &[]).piped();
        let start = start.state(|state| state.cwd_path = Some(root.clone().into_bytes()));
        let start = match path {
            Some(path) => start.set("PATH", &path.replace("ROOT", &root)),
            None => start.env(mpfork_proto::v1::env_directive::Step::Remove(
                b"PATH".to_vec(),
            )),
        };
        let outcome = zygote.run(start);
        (outcome, read_all(output))
    };
    for path in [
        "ROOT/bin",
        "/nowhere:/etc/passwd:ROOT/refused:ROOT/bin",
        // Relative to the worker's directory.
        "bin",
        "/nowhere:bin",
    ] {
        let (outcome, output) = run("hello", Some(path));
        assert_eq!((outcome.code(), output.as_str()), (0, "hello\n"), "{path}");
    }
    assert_eq!(run("bin/hello", Some("/nowhere")).1, "hello\n");
    // No PATH: where the system's programs are.
    assert_eq!(run("true", None).0.code(), 0);

    let fails = |(outcome, _): (common::Outcome, String)| exec_failed(&outcome);
    assert_eq!(fails(run("hello", Some("/nowhere:ROOT"))), (2, 127));
    assert_eq!(
        fails(run("other", Some("ROOT/refused:/nowhere"))),
        (13, 126)
    );
    // As `std::process::Command`, and not given to a shell.
    let (outcome, output) = run("odd", Some("ROOT/odd"));
    assert_eq!((exec_failed(&outcome), output.as_str()), ((8, 126), ""));
    let Some(worker_report::Report::ExecFailed(failed)) = outcome.reports.last() else {
        panic!("{outcome:?}");
    };
    assert!(failed.message.contains("begins with #!"), "{failed:?}");
    let own = std::process::Command::new(folder.path().join("odd/odd")).status();
    assert_eq!(own.unwrap_err().raw_os_error(), Some(8));
    assert_eq!(fails(run("/nowhere/at/all", Some("/bin"))), (2, 127));
    assert_eq!(fails(run("/etc/passwd/x", Some("/bin"))), (20, 127));
    assert_eq!(fails(run("", Some("/bin"))), (2, 127));
    assert_eq!(fails(run("/bin/true\0", Some("/bin"))), (22, 127));
    // An empty entry is the working directory.
    let (outcome, _) = run("bin", Some(":/nowhere"));
    assert_eq!(exec_failed(&outcome), (13, 126));
}

#[test]
fn dispositions_are_default_but_for_the_ignored() {
    let mut zygote = Zygote::ready(&[], &[]);
    let status = |ignored: Vec<u32>, zygote: &mut Zygote| {
        let (start, output) = Start::command("/bin/cat", &["/proc/self/status"]).piped();
        let outcome = zygote.run(start.state(|state| state.ignored_signals = ignored));
        let status = read_all(output);
        let line = status.lines().find(|l| l.starts_with("SigIgn")).unwrap();
        let mask = u64::from_str_radix(line[7..].trim(), 16).unwrap();
        (mask, outcome.applied().not_applied.clone())
    };
    assert_eq!(status(vec![], &mut zygote).0, 0);
    let (mask, told) = status(vec![1, 2, 13, 40], &mut zygote);
    assert_eq!(mask, 1 | 1 << 1 | 1 << 12 | 1 << 39);
    assert!(told.is_empty());
    let (mask, told) = status(vec![9, 33, 200], &mut zygote);
    assert_eq!((mask, told.len()), (1 << 32, 2), "{told:?}");
}

#[test]
fn a_command_gets_its_descriptors_and_no_others() {
    let mut zygote = Zygote::ready(&[], &["keeper"]);
    let script = "set -- /proc/self/fd/*; echo $*; cat <&8";
    let (start, output) = Start::command("/bin/sh", &["-c", script]).piped();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "eight").unwrap();
    let start = start.place(std::fs::File::open(file.path()).unwrap(), 8);
    assert_eq!(zygote.run(start).code(), 0);
    let output = read_all(output);
    let (numbers, text) = output.split_once('\n').unwrap();
    assert_eq!(text, "eight");
    let numbers: Vec<u32> = numbers
        .split(' ')
        .map(|path| path.rsplit('/').next().unwrap().parse().unwrap())
        // The shell holds the folder it lists.
        .filter(|number| !(3..8).contains(number) && *number < 9)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 8]);
    assert!(output.split(' ').count() <= 6, "{output}");
}

#[test]
fn mains_hooks_are_not_for_commands() {
    let mut zygote = Zygote::ready(&[], &[]);
    let (start, output) = Start::command("/bin/echo", &["only"]).piped();
    let outcome = zygote.run(
        start
            .set("PROBE_AFTER", "fails")
            .set("PROBE_AT_EXIT", "fails"),
    );
    assert_eq!(outcome.code(), 0);
    assert_eq!(read_all(output), "only\n");
}

#[test]
fn a_zygote_for_commands_runs_nothing_else() {
    let mut zygote = Zygote::ready(&["PROBE_COMMANDS_ONLY=1"], &[]);
    assert_eq!(zygote.run(Start::command("/bin/true", &[])).code(), 0);
    for start in [Start::main(&[]), Start::function("echo", b"x")] {
        let outcome = zygote.run(start);
        assert_eq!(outcome.code(), 126);
        assert_eq!(outcome.start_failed().what, "task");
    }
    assert_eq!(zygote.finish(), "");
}
