//! Standard streams of the program's own.

use crate::context;
use std::io::{BufRead as _, Read as _};

/// What the worker and the command print comes in between.
pub(crate) fn streams() {
    let ctx = context();
    println!("one");
    let print = |text: String| println!("{text}");
    ctx.spawn(print, "two".to_owned()).unwrap().join().unwrap();
    let mut command = ctx.command("echo").arg("three").start().unwrap();
    command.join(None).unwrap();
    let copy = || -> std::io::Result<()> {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        print!("{line}");
        Ok(())
    };
    let mut process = ctx.process(copy, ()).start().unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(0));
    println!("five");
}

/// Standard output and error of workers, to the same place.
pub(crate) fn interleaved() {
    let talk = |n: u32| {
        println!("{n} out");
        eprintln!("{n} err");
        print!("{n} end ");
    };
    for n in 0..3 {
        context().spawn(talk, n).unwrap().join().unwrap();
    }
}

/// With the fault "unfinished", preload and hooks leave something in the zygote's buffer.
pub(crate) fn buffered() {
    let ctx = context();
    for n in 0..3 {
        let print = |n: u32| print!("{n} ");
        let mut process = ctx.process(print, n).start().unwrap();
        process.join(None).unwrap();
    }
    let nothing = ctx.process(|| (), ()).stdout(mpfork::Stdio::piped());
    let mut nothing = nothing.start().unwrap();
    let mut printed = String::new();
    let mut stdout = nothing.take_stdout().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
    nothing.join(None).unwrap();
}
