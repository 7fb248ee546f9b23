//! What is open in a worker.

use super::context;
use super::start_state::report;
use mpfork::Process;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;

type Open = BTreeMap<i32, String>;

fn open_in(mut process: Process) -> Open {
    let mut text = String::new();
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(0));
    serde_json::from_str(&text).unwrap()
}

fn open_now() -> Open {
    serde_json::from_value(report()["descriptors"].clone()).unwrap()
}

fn print_open() {
    println!("{}", serde_json::to_string(&open_now()).unwrap());
}

/// Takes the standard streams out, and as many sockets as the worker should have; the rest.
fn rest(mut open: Open, sockets: usize) -> Vec<(i32, String)> {
    for number in 0..3 {
        assert!(open.remove(&number).is_some(), "{number} is closed");
    }
    let all = open.len();
    open.retain(|_, what| !what.starts_with("socket:"));
    assert_eq!(all - open.len(), sockets, "sockets: {open:?}");
    open.into_iter().collect()
}

/// The preload holds the file `kept` open.
pub(crate) fn nothing_else_is_open(kept: &str) {
    let ctx = context();
    // Open in the caller, and inherited by what it executes itself.
    let inherited = File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let passed = File::open("/etc/group").unwrap();

    // A function has the socket of its worker, and the channel of its result where it has one.
    let builder = ctx.process(print_open, ());
    let builder = builder.stdout(mpfork::Stdio::piped());
    let builder = builder.pass_fd(passed, 77);
    let mut open = rest(open_in(builder.start().unwrap()), 1);
    assert_eq!(open.pop(), Some((77, "/etc/group".to_owned())));
    let [(_, only)] = &open[..] else {
        panic!("{open:?}");
    };
    assert_eq!(only, kept);
    let called: Open = ctx.spawn(open_now, ()).unwrap().join().unwrap();
    let open = rest(called, 2);
    assert_eq!(open.len(), 1, "{open:?}");

    let settled = open_now();

    // A number that a preload's file has in the zygote can't be given to another.
    let number = u32::try_from(open[0].0).unwrap();
    let collides = ctx
        .process(print_open, ())
        .pass_fd(inherited.try_clone().unwrap(), number);
    let Err(mpfork::Error::Server(problem)) = collides.start() else {
        panic!("not refused");
    };
    assert_eq!(problem.reason, mpfork::Reason::BadRequest, "{problem}");

    // A command has nothing that it was not given.
    let passed = File::open("/etc/group").unwrap();
    let script = "for f in /proc/self/fd/*; do echo ${f##*/} $(readlink $f); done";
    let command = ctx.command("sh").args(["-c", script]).pass_fd(passed, 7);
    let mut command = command.stdout(mpfork::Stdio::piped()).start().unwrap();
    let mut text = String::new();
    let mut stdout = command.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    command.join(None).unwrap();
    let numbers: Vec<_> = text
        .lines()
        // The directory itself is open while the shell reads it; by now it is not.
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, what)| !what.is_empty())
        .map(|(number, _)| number.parse::<u32>().unwrap())
        .filter(|number| *number < 10)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 7], "{text}");
    // And the caller has what it had.
    drop((command, stdout));
    assert_eq!(open_now(), settled);
}

/// The caller has no standard input: neither has the worker.
pub(crate) fn closed_stdin() {
    nix::unistd::close(std::io::stdin().as_raw_fd()).unwrap();
    for round in 0..3 {
        let ctx = context();
        let builder = ctx.process(print_open, ());
        let builder = builder.stdout(mpfork::Stdio::piped());
        let process = builder.start().unwrap();
        assert!(!open_now().contains_key(&0), "round {round}");
        assert_eq!(open_in(process)[&0], "/dev/null");
        let read = || -> std::io::Result<usize> { std::io::stdin().read_to_end(&mut Vec::new()) };
        let call = ctx.spawn(read, ()).unwrap();
        assert!(!open_now().contains_key(&0), "round {round}");
        assert_eq!(call.join().unwrap(), 0);
        let mut command = ctx.command("cat").start().unwrap();
        command.join(None).unwrap();
        assert_eq!(command.exitcode(), Some(0));
    }
}
