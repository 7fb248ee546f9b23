//! Commands: programs executed by a worker.

use super::common::{plain, say_error};
use mpfork::{CommandBuilder, Context, Exit, Reason, Stdio};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;

/// Runs it to its end; its exit, and what it printed.
fn output(command: CommandBuilder) -> (Exit, Vec<u8>) {
    let mut process = command.stdout(Stdio::piped()).start().unwrap();
    let mut text = Vec::new();
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_to_end(&mut text).unwrap();
    (process.join(None).unwrap().unwrap(), text)
}

pub(crate) fn with_arguments(ctx: &Context) {
    let builder = ctx.command("printf").arg("%s|");
    let builder = builder.args(["two words", "", "$HOME"]);
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let (exit, text) = output(builder.arg(bytes));
    assert_eq!(text, b"two words||$HOME|\xff\xfe|");
    assert!(exit.success());
    let named = ctx.command("sh").arg0("other name");
    let (exit, text) = output(named.args(["-c", "echo $0; exit 7"]));
    assert_eq!(
        (exit.exitcode(), text.as_slice()),
        (7, b"other name\n".as_slice())
    );
    assert_eq!(exit.failure(), None);
}

pub(crate) fn with_streams(ctx: &Context) {
    println!("the program");
    let mut echo = ctx.command("echo").arg("a command").start().unwrap();
    echo.join(None).unwrap();
    let builder = ctx.command("cat").stdin(Stdio::piped());
    let mut cat = builder.stdout(Stdio::piped()).start().unwrap();
    let mut stdin = cat.take_stdin().unwrap();
    stdin.write_all(b"from the pipe").unwrap();
    drop(stdin);
    let mut text = String::new();
    let mut stdout = cat.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from the pipe");
    assert!(cat.join(None).unwrap().unwrap().success());
    println!("the program again");
}

/// As the caller's, or as described; and nothing else is open.
pub(crate) fn with_their_state(ctx: &Context) {
    let script = "pwd -P; umask; ulimit -n; env | sort | grep -v ^_=; \
                  grep -E 'Cpus_allowed_list|SigBlk' /proc/self/status";
    let mut own = std::process::Command::new("/bin/sh");
    let own = own.args(["-c", script]).output().unwrap().stdout;
    let (_, text) = output(ctx.command("/bin/sh").args(["-c", script]));
    assert_eq!(
        String::from_utf8_lossy(&text),
        String::from_utf8_lossy(&own)
    );
    let script = "pwd; umask; ulimit -n; echo $ADDED";
    let described = ctx.command("/bin/sh").args(["-c", script]);
    let described = described.current_dir("/").umask(0o27).rlimit(7, 111, 222);
    let (_, text) = output(described.env("ADDED", "a=b c"));
    assert_eq!(text, b"/\n0027\n111\na=b c\n");
    let script = "for f in /proc/self/fd/*; do echo ${f##*/} $(readlink $f); done";
    let passed = std::fs::File::open("/etc/group").unwrap();
    let (_, text) = output(ctx.command("sh").args(["-c", script]).pass_fd(passed, 7));
    let text = String::from_utf8(text).unwrap();
    let numbers: Vec<u32> = text
        .lines()
        // The directory itself is open while the shell reads it; by now it is not.
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, what)| !what.is_empty())
        .map(|(number, _)| number.parse().unwrap())
        .filter(|number| *number < 10)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 7], "{text}");
}

pub(crate) fn that_can_not_be_executed(ctx: &Context) {
    std::fs::write("no program", "text").unwrap();
    for program in ["./no program", "./missing", "no-such-command"] {
        let error = ctx.command(program).start().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ExecFailed), "{error:?}");
        say_error(&error);
    }
    // The path that is searched is the described one.
    std::fs::create_dir("bin").unwrap();
    std::os::unix::fs::symlink("/bin/true", "bin/only-here").unwrap();
    let folder = std::env::current_dir().unwrap().join("bin");
    let command = ctx.command("only-here").env("PATH", folder);
    assert!(output(command).0.success());
    let elsewhere = ctx.command("true").current_dir("missing").start();
    say_error(&elsewhere.unwrap_err());
}

pub(crate) fn ended_by_signals(ctx: &Context) {
    let mut command = ctx.command("sleep").arg("600").start().unwrap();
    assert!(command.is_alive());
    command.terminate().unwrap();
    println!(
        "{}",
        plain(&command.join(None).unwrap().unwrap().to_string())
    );
    // They have SIGPIPE's default, unlike functions.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut cat = ctx.command("cat").arg("/proc/self/status");
    cat = cat.stdout(writer);
    let mut cat = cat.start().unwrap();
    cat.join(None).unwrap();
    assert_eq!(cat.exitcode(), Some(-13));
}
