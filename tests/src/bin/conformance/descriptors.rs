//! Descriptors that are passed on, and those that are not.

use crate::common::ended;
use mpfork::Context;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};

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
    let numbers: Vec<_> = seen.keys().copied().collect();
    assert_eq!(numbers, [0, 1, 2, 77], "{seen:?}");
    assert_eq!(seen[&77], "/etc/group");
    let seen = ctx.spawn(open, ()).unwrap().join().unwrap();
    let numbers: Vec<_> = seen.keys().copied().collect();
    assert_eq!(numbers, [0, 1, 2], "{seen:?}");
}
