//! Processes that go on with the program's own `main`.

use super::common::{differs, ended, say_error};
use mpfork::Context;
use std::process::ExitCode;

/// What `main` does in them.
pub(crate) fn in_main(args: &[String]) -> ExitCode {
    match args {
        [how] if how == "shared" => {
            super::shared::in_main();
            ExitCode::SUCCESS
        }
        [code] => ExitCode::from(code.parse::<u8>().unwrap()),
        [how, ..] if how == "panic" => panic!("main panics"),
        rest => {
            let own: Vec<_> = mpfork::args_os().collect();
            let std: Vec<_> = std::env::args_os().collect();
            assert_eq!(own, std);
            let name = own[0].to_str().unwrap().rsplit('/').next().unwrap();
            println!("{} as {name} with {rest:?}", mpfork::current_process().name);
            ExitCode::SUCCESS
        }
    }
}

pub(crate) fn with_arguments(ctx: &Context) {
    let args = ["in-main", "a b", "", "$HOME"];
    if differs("main").is_some() {
        say_error(&ctx.process_main(args).start().unwrap_err());
        return;
    }
    let (exit, out, err) = ended(ctx.process_main(args).name("again"));
    assert!(exit.success(), "{err}");
    print!("{out}");
    let (exit, ..) = ended(ctx.process_main(["in-main", "33"]));
    assert_eq!((exit.exitcode(), exit.failure()), (33, None));
}

pub(crate) fn that_panics(ctx: &Context) {
    if differs("main").is_some() {
        return;
    }
    let process = ctx.process_main(["in-main", "panic", "x"]).rlimit(4, 0, 0);
    let (exit, _, err) = ended(process);
    let code = if cfg!(panic = "abort") { -6 } else { 101 };
    assert_eq!(exit.exitcode(), code);
    assert_eq!(exit.failure().unwrap().message, "main panics");
    assert_eq!(err.matches("main panics").count(), 1, "{err}");
}
