//! What a worker starts with: as if the caller had executed it.

#[path = "../test-program/start_state.rs"]
mod seen;

use super::context;
use mpfork::CommandBuilder;
use mpfork_sys::own_process;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
pub(crate) use seen::report;
use std::io::Read as _;
use std::path::Path;

const SIGINT: u64 = 1 << 1;
const SIGUSR1: u64 = 1 << 9;
const SIGPIPE: u64 = 1 << 12;

fn first_cpu() -> u32 {
    *own_process::affinity().first().unwrap()
}

/// Makes this process's state an unusual one.
fn change_own_state(folder: &Path) {
    let was = folder.join("before it was renamed");
    std::fs::create_dir(&was).unwrap();
    std::env::set_current_dir(&was).unwrap();
    std::fs::rename(was, folder.join("renamed")).unwrap();
    umask(Mode::from_bits_truncate(0o151));
    setrlimit(Resource::RLIMIT_NOFILE, 321, 654).unwrap();
    let (_, most) = getrlimit(Resource::RLIMIT_CPU).unwrap();
    setrlimit(Resource::RLIMIT_CPU, 4321.min(most), most).unwrap();
    setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
    let nice = rustix::process::getpriority_process(None).unwrap();
    rustix::process::setpriority_process(None, (nice + 2).min(19)).unwrap();
    own_process::set_affinity(&[first_cpu()]).unwrap();
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR2);
    mask.add(Signal::SIGWINCH);
    mask.thread_block().unwrap();
}

pub(crate) fn removed_directory(folder: &Path) {
    let gone = folder.join("gone");
    std::fs::create_dir(&gone).unwrap();
    std::env::set_current_dir(&gone).unwrap();
    std::fs::remove_dir(&gone).unwrap();
    let current = || std::fs::read_link("/proc/self/cwd");
    let own = current().unwrap();
    assert_eq!(context().spawn(current, ()).unwrap().join().unwrap(), own);
    let mut command = context().command("true").start().unwrap();
    assert!(command.join(None).unwrap().unwrap().success());
}

fn output(command: CommandBuilder) -> String {
    let mut process = command.stdout(mpfork::Stdio::piped()).start().unwrap();
    let mut text = String::new();
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(0), "{text}");
    text
}

/// Commands start with the same as a command that the caller executes itself.
pub(crate) fn of_commands(folder: &Path) {
    let ctx = context();
    change_own_state(folder);
    let script = "pwd -P; umask; ulimit -n; ulimit -Hn; ulimit -t; ulimit -c; nice; env | sort; \
                  grep Cpus_allowed_list /proc/self/status";
    let own = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .output()
        .unwrap();
    assert!(own.status.success());
    let command = ctx.command("/bin/sh").args(["-c", script]);
    let expected = String::from_utf8(own.stdout).unwrap();
    assert_eq!(output(command), expected);
    // Shells change the mask, and the standard library too.
    let blocked = status_of_command(&ctx, "SigBlk");
    assert_eq!(blocked, 1 << 11 | 1 << 27, "{blocked:x}");
}

/// Signals of a command, as the kernel tells them.
fn status_of_command(ctx: &mpfork::Context, name: &str) -> u64 {
    let text = output(ctx.command("grep").args([name, "/proc/self/status"]));
    let (_, signals) = text.split_once(':').unwrap();
    u64::from_str_radix(signals.trim(), 16).unwrap()
}

pub(crate) fn own_ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap()
}

pub(crate) fn dispositions() {
    let ctx = context();
    let function = || {
        let state = ctx.spawn(report, ()).unwrap().join().unwrap();
        let ignored = state["ignored"].as_str().unwrap();
        u64::from_str_radix(ignored, 16).unwrap()
    };
    let command = || status_of_command(&ctx, "SigIgn");
    // Whoever runs the tests may ignore signals, as nohup does; the Rust runtime ignores SIGPIPE.
    let inherited = own_ignored() & !SIGPIPE;
    assert_eq!(function(), SIGPIPE);
    assert_eq!(command(), inherited);
    mpfork_sys::signals::set_ignored(Signal::SIGINT).unwrap();
    mpfork_sys::signals::set_ignored(Signal::SIGUSR1).unwrap();
    // A real-time one, and one of the C library's own two.
    mpfork_sys::signals::set_by_number(40, true).unwrap();
    mpfork_sys::signals::set_by_number(33, true).unwrap();
    // Functions have those of the Rust runtime, commands those the caller ignores.
    assert_eq!(function(), SIGPIPE);
    assert_eq!(command(), inherited | SIGINT | SIGUSR1 | 1 << 39 | 1 << 32);
    // A `main` has both.
    let both = (own_ignored() | SIGPIPE).to_string();
    let mut process = ctx
        .process_main(["in-main-ignored", &both])
        .start()
        .unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(0));
    // A broken pipe is an error for functions, and ends commands.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let write = || -> std::io::Result<()> {
        use std::io::Write as _;
        let error = std::io::stdout().write_all(b"x\n").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        Ok(())
    };
    let copy = writer.try_clone().unwrap();
    let mut process = ctx.process(write, ()).stdout(copy).start().unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(0));
    let mut command = ctx
        .command("cat")
        .arg("/proc/self/status")
        .stdout(writer)
        .start()
        .unwrap();
    command.join(None).unwrap();
    assert_eq!(command.exitcode(), Some(-13));
}

/// What a worker that waits has for itself, in KiB: what it has written since it was forked.
pub(crate) fn idle_memory() {
    let wait = || {
        println!("here");
        loop {
            std::thread::park();
        }
    };
    let mut process = context()
        .process(wait, ())
        .stdout(mpfork::Stdio::piped())
        .start()
        .unwrap();
    let mut here = [0; 5];
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_exact(&mut here).unwrap();
    let path = format!("/proc/{}/smaps_rollup", process.pid());
    let memory = std::fs::read_to_string(path).unwrap();
    let private = memory.lines().filter(|line| line.starts_with("Private_"));
    let kibibytes = private.map(|line| -> u64 {
        let value = line.split_whitespace().nth(1);
        value.unwrap().parse().unwrap()
    });
    let kibibytes: u64 = kibibytes.sum();
    assert!((1..300).contains(&kibibytes), "{kibibytes} KiB: {memory}");
    process.kill().unwrap();
    process.join(None).unwrap();
}
