//! Descriptors that are passed on, and those that are not.

use super::common::{context, differs, ended, eventually, lives, say_error};
use mpfork::{Context, Fd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

pub(crate) fn take_the_numbers_they_are_given(ctx: &Context) {
    std::fs::write("file", "in the file").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let talk = || -> std::io::Result<()> {
        let text = std::fs::read_to_string("/proc/self/fd/9")?;
        let mut pipe = File::options().write(true).open("/proc/self/fd/7")?;
        write!(pipe, "{text}, to seven")
    };
    let builder = ctx
        .process(talk, ())
        .pass_fd(File::open("file").unwrap(), 9);
    let (exit, _, err) = ended(builder.pass_fd(writer, 7));
    assert!(exit.success(), "{err}");
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    assert_eq!(told, "in the file, to seven");
}

/// What is open, without the worker's own socket and the channel of its call.
fn open() -> BTreeMap<i32, String> {
    let numbers = mpfork_sys::descriptors::open_numbers().unwrap();
    let what = |number: i32| {
        let link = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
        (number, link.to_string_lossy().into_owned())
    };
    let mut open: BTreeMap<_, _> = numbers.into_iter().map(what).collect();
    open.retain(|_, what| !what.starts_with("socket:"));
    open
}

pub(crate) fn are_those_that_were_given(ctx: &Context) {
    // Open in the caller, and inherited by what it executes itself.
    let inherited = File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let passed = File::open("/etc/group").unwrap();
    let print = || println!("{}", serde_json::to_string(&open()).unwrap());
    let (_, out, _) = ended(ctx.process(print, ()).pass_fd(passed, 77));
    let seen: BTreeMap<i32, String> = serde_json::from_str(&out).unwrap();
    assert_eq!(seen[&77], "/etc/group");
    if differs("descriptors").is_some() {
        assert!(seen.values().any(|what| what == "/etc/passwd"), "{seen:?}");
        return;
    }
    let numbers: Vec<_> = seen.keys().copied().collect();
    assert_eq!(numbers, [0, 1, 2, 77], "{seen:?}");
    let seen = ctx.spawn(open, ()).unwrap().join().unwrap();
    let numbers: Vec<_> = seen.keys().copied().collect();
    assert_eq!(numbers, [0, 1, 2], "{seen:?}");
}

#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
    log: Fd<File>,
    more: Vec<Input>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Input {
    Number(u32),
    Text { text: String },
    File { file: Fd<File> },
}

/// Anywhere in them; the worker's are its own, of the same open file.
pub(crate) fn in_arguments(ctx: &Context) {
    let work = |mut work: Work| -> std::io::Result<()> {
        writeln!(work.log, "{}", work.name)?;
        for input in work.more {
            match input {
                Input::Number(number) => writeln!(work.log, "number {number}")?,
                Input::Text { text } => writeln!(work.log, "text {text}")?,
                Input::File { file: Fd(file) } => {
                    writeln!(work.log, "file {}", std::io::read_to_string(file)?)?;
                }
            }
        }
        Ok(())
    };
    let described = |name: &str| {
        std::fs::write("input", "in the file").unwrap();
        let file = || Fd(File::open("input").unwrap());
        let log = File::options()
            .append(true)
            .create(true)
            .open("log")
            .unwrap();
        Work {
            name: name.to_owned(),
            log: Fd(log),
            more: vec![
                Input::File { file: file() },
                Input::Number(7),
                Input::Text {
                    text: "t".repeat(3),
                },
                Input::File { file: file() },
            ],
        }
    };
    ctx.spawn(work, described("a call"))
        .unwrap()
        .join()
        .unwrap();
    let mut process = ctx.process(work, described("a process")).start().unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
    // Beside what is too large for a request.
    let work = |file: Fd<File>, text: String| std::io::read_to_string(file.0).map(|t| t + &text);
    let large = (Fd(File::open("input").unwrap()), "x".repeat(1 << 20));
    let back = ctx.spawn(work, large).unwrap().join().unwrap();
    assert_eq!(back.len(), "in the file".len() + (1 << 20));
    print!("{}", std::fs::read_to_string("log").unwrap());
}

/// The worker and its caller talk over it.
pub(crate) fn of_sockets_and_pipes(ctx: &Context) {
    let echo = |Fd(mut socket): Fd<UnixStream>| -> std::io::Result<()> {
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        socket.write_all(text.to_uppercase().as_bytes())
    };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let call = ctx.spawn(echo, Fd(theirs)).unwrap();
    ours.write_all(b"over a socket").unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let mut told = String::new();
    // To its end: the worker's is the last one of the other end.
    ours.read_to_string(&mut told).unwrap();
    call.join().unwrap();
    println!("{told}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accept = |Fd(listener): Fd<TcpListener>| -> std::io::Result<()> {
        listener.accept()?.0.write_all(b"over the network")
    };
    let call = ctx.spawn(accept, Fd(listener)).unwrap();
    let mut told = String::new();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.read_to_string(&mut told).unwrap();
    call.join().unwrap();
    println!("{told}");

    let copy = |Fd(from): Fd<PipeReader>, Fd(mut to): Fd<PipeWriter>| -> std::io::Result<u64> {
        // Not to its end: a forked process has the program's end of it too.
        std::io::copy(&mut from.take(13), &mut to)
    };
    let (theirs, mut input) = std::io::pipe().unwrap();
    let (mut output, writer) = std::io::pipe().unwrap();
    let call = ctx.spawn(copy, (Fd(theirs), Fd(writer))).unwrap();
    input.write_all(b"through pipes").unwrap();
    drop(input);
    let mut told = String::new();
    output.read_to_string(&mut told).unwrap();
    assert_eq!(call.join().unwrap(), 13);
    println!("{told}");
}

pub(crate) fn in_results(ctx: &Context) {
    let make = |text: String| -> std::io::Result<(String, Vec<Fd<File>>)> {
        std::fs::write("made", &text)?;
        let file = || File::open("made").map(Fd);
        Ok(("two files".to_owned(), vec![file()?, file()?]))
    };
    let (name, files) = ctx
        .spawn(make, "made there".to_owned())
        .unwrap()
        .join()
        .unwrap();
    for Fd(file) in files {
        println!("{name}: {}", std::io::read_to_string(file).unwrap());
    }
    // A result that nobody reads takes its descriptors along.
    let call = ctx.spawn(make, "unread".to_owned()).unwrap();
    let pid = call.process().pid();
    drop(call);
    eventually("it ends", || (!lives(pid)).then_some(()));
    // In an error with a type of its own, and from a worker of a worker.
    let fail = || -> Result<(), Kept> { Err(Kept(Fd(File::open("made").unwrap()))) };
    let Err(Kept(Fd(file))) = ctx.spawn(mpfork::typed(fail), ()).unwrap().join().unwrap() else {
        panic!("it succeeded");
    };
    println!("{}", std::io::read_to_string(file).unwrap());
    let nested = || -> Result<Fd<File>, mpfork::Error> {
        let open = || File::open("made").map(Fd);
        context().spawn(open, ())?.join()
    };
    let Fd(file) = ctx.spawn(nested, ()).unwrap().join().unwrap();
    println!("{}", std::io::read_to_string(file).unwrap());
}

#[derive(Serialize, Deserialize)]
struct Kept(Fd<File>);

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it keeps a file")
    }
}

/// 250 go; more are refused, and so they are where there is no call.
pub(crate) fn too_many_and_elsewhere(ctx: &Context) {
    let files = |count| -> Vec<Fd> {
        let file = File::open("/dev/null").unwrap();
        (0..count)
            .map(|_| Fd(file.try_clone().unwrap().into()))
            .collect()
    };
    let count = |files: Vec<Fd>| files.len();
    assert_eq!(ctx.spawn(count, files(250)).unwrap().join().unwrap(), 250);
    say_error(&ctx.spawn(count, files(251)).unwrap_err());
    let many = |count: usize| -> std::io::Result<Vec<Fd>> {
        let file = File::open("/dev/null")?;
        (0..count)
            .map(|_| Ok(Fd(file.try_clone()?.into())))
            .collect()
    };
    assert_eq!(ctx.spawn(many, 250).unwrap().join().unwrap().len(), 250);
    say_error(&ctx.spawn(many, 251).unwrap().join().unwrap_err());
    let elsewhere = || serde_json::to_string(&Fd(File::open("/dev/null").unwrap()));
    println!("{}", elsewhere().unwrap_err());
    let error = ctx.spawn(elsewhere, ()).unwrap().join().unwrap_err();
    say_error(&error);
}

/// What a worker does not take out of its arguments is not open in it, and nothing stays behind.
pub(crate) fn that_nobody_takes(ctx: &Context) {
    let passed = || Fd(File::open("/etc/group").unwrap());
    let call = ctx.spawn_registered::<bool>("any-value", &passed());
    assert_eq!(
        call.unwrap().join().unwrap(),
        differs("descriptors").is_some()
    );
}

mpfork::register!("any-value", |_: serde_json::Value| {
    open().into_values().any(|what| what == "/etc/group")
});
