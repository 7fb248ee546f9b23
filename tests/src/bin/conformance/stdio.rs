//! Standard streams.

use super::common::ended;
use mpfork::{Context, Stdio};
use std::fs::File;
use std::io::{BufRead as _, Read as _, Seek as _, Write as _};

/// They are the program's own; what its worker and it print comes in turns, and one reads on where the
/// other stopped.
pub(crate) fn inherited(ctx: &Context) {
    println!("the program");
    let print = |text: String| println!("{text}");
    ctx.spawn(print, "a call".to_owned())
        .unwrap()
        .join()
        .unwrap();
    let mut process = ctx.process(print, "a process".to_owned()).start().unwrap();
    process.join(None).unwrap();
    let copy = || -> std::io::Result<()> {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        print!("{line}");
        Ok(())
    };
    let mut process = ctx.process(copy, ()).start().unwrap();
    assert!(process.join(None).unwrap().unwrap().success());
    println!("the program again");
}

/// Standard output and error of workers, to the same place; nothing comes twice, nothing is lost.
pub(crate) fn in_order(ctx: &Context) {
    let talk = |n: u32| {
        println!("{n} out");
        eprintln!("{n} err");
        print!("{n} end ");
    };
    let mut file = File::options()
        .read(true)
        .append(true)
        .create_new(true)
        .open("both")
        .unwrap();
    // Still in the program's buffer while workers begin and end.
    print!("unfinished ");
    for n in 0..3 {
        let builder = ctx.process(talk, n).stdout(file.try_clone().unwrap());
        let mut process = builder.stderr(file.try_clone().unwrap()).start().unwrap();
        process.join(None).unwrap();
    }
    println!("line");
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    println!("{text}");
}

fn shout() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    println!("{}", text.to_uppercase());
    print!("{} bytes, no line break", text.len());
    eprint!("done");
    Ok(())
}

pub(crate) fn piped(ctx: &Context) {
    let builder = ctx.process(shout, ()).stdin(Stdio::piped());
    let builder = builder.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = builder.start().unwrap();
    let mut stdin = process.take_stdin().unwrap();
    assert!(process.take_stdin().is_none());
    stdin.write_all(b"some text").unwrap();
    drop(stdin);
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_to_string(&mut out).unwrap();
    let mut stderr = process.take_stderr().unwrap();
    stderr.read_to_string(&mut err).unwrap();
    assert_eq!(out, "SOME TEXT\n9 bytes, no line break");
    assert_eq!(err, "done");
    assert!(process.join(None).unwrap().unwrap().success());
}

pub(crate) fn null(ctx: &Context) {
    let links = || {
        let link = |n: u8| std::fs::read_link(format!("/proc/self/fd/{n}")).unwrap();
        eprint!("{} {}", link(0).display(), link(1).display());
    };
    let builder = ctx.process(links, ()).stdin(Stdio::null());
    let builder = builder.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = builder.start().unwrap();
    let mut told = String::new();
    let mut stderr = process.take_stderr().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(told, "/dev/null /dev/null");
    process.join(None).unwrap();
}

pub(crate) fn to_a_file(ctx: &Context) {
    std::fs::write("input", "from a file").unwrap();
    let builder = ctx.process(shout, ()).stdin(File::open("input").unwrap());
    let builder = builder.stdout(File::create("output").unwrap());
    let mut process = builder.stderr(Stdio::null()).start().unwrap();
    process.join(None).unwrap();
    let text = std::fs::read_to_string("output").unwrap();
    assert_eq!(text, "FROM A FILE\n11 bytes, no line break");
}

/// Who writes more than a pipe holds waits for its reader, and sees when there is none.
pub(crate) fn unread(ctx: &Context) {
    let write =
        |n: usize| -> std::io::Result<()> { std::io::stdout().lock().write_all(&vec![b'x'; n]) };
    let builder = ctx.process(write, 1 << 20).stdout(Stdio::piped());
    let mut process = builder.start().unwrap();
    let mut read = Vec::new();
    let mut stdout = process.take_stdout().unwrap();
    stdout.read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), 1 << 20);
    assert!(process.join(None).unwrap().unwrap().success());
    let builder = ctx.process(write, 1 << 20).stdout(Stdio::piped());
    let mut process = builder.stderr(Stdio::null()).start().unwrap();
    drop(process.take_stdout());
    let exit = process.join(None).unwrap().unwrap();
    assert_eq!(exit.exitcode(), 1);
    println!("{}", exit.failure().unwrap());
}

/// The caller has no standard input: the worker's is the null device.
pub(crate) fn closed(ctx: &Context) {
    let saved = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 10).unwrap();
    nix::unistd::close(0).unwrap();
    let links = || {
        let link = std::fs::read_link("/proc/self/fd/0").unwrap();
        println!("{}", link.display());
    };
    for _ in 0..2 {
        let (exit, out, _) = ended(ctx.process(links, ()));
        assert_eq!((exit.exitcode(), out.as_str()), (0, "/dev/null\n"));
        assert!(!std::path::Path::new("/proc/self/fd/0").exists());
    }
    let read = || -> std::io::Result<usize> { std::io::stdin().read_to_end(&mut Vec::new()) };
    assert_eq!(ctx.spawn(read, ()).unwrap().join().unwrap(), 0);
    rustix::stdio::dup2_stdin(saved).unwrap();
}
