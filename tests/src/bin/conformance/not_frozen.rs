//! A program that has not called `freeze_support()`: this one has not, for this subject.

use super::common::{differs, say_error};
use mpfork::{Context, Error, Handle};

pub(crate) fn starts(ctx: &Context) {
    if differs("unfrozen").is_some() {
        assert_eq!(ctx.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
        let process = ctx.process(|| std::process::ExitCode::from(3), ()).start();
        let exit = process.unwrap().join(None).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 3);
        println!("needs nothing");
        return;
    }
    let starts = [
        ctx.spawn(|n: u8| n, 1).and_then(Handle::join).map(drop),
        ctx.spawn_registered::<()>("nothing", &()).map(drop),
        ctx.process(|| (), ()).start().map(drop),
        ctx.process_main(["in-main", "0"]).start().map(drop),
    ];
    for error in starts.map(Result::unwrap_err) {
        assert!(matches!(error, Error::NotFrozen), "{error:?}");
        say_error(&error);
    }
}

/// They need a server, and where that is the program's own it must know that it is one.
pub(crate) fn commands(ctx: &Context) {
    let command = ctx.command("true").start();
    if differs("commands").is_some() {
        say_error(&command.unwrap_err());
    } else {
        assert!(command.unwrap().join(None).unwrap().unwrap().success());
    }
}
