//! What the program does.

mod children;
mod descriptors;
mod forked;
mod hooks;
mod owner;
mod preloads;
mod relayed;
mod settings;
mod start_methods;
mod start_state;
mod stdio;

use mpfork::{Context, Error, StartMethod};
use std::process::ExitCode;

/// A context of the start method that the environment names, with the daemon that it names.
fn context() -> Context {
    let method = std::env::var("USER_METHOD").map(|name| name.parse().unwrap());
    mpfork::get_context(method.unwrap_or(StartMethod::ForkServer)).unwrap()
}

/// Without `freeze_support`, nothing is even asked of a daemon.
fn not_frozen() {
    let ctx = context();
    let errors = [
        ctx.spawn(|n: u8| n, 1).map(drop),
        ctx.spawn_registered::<u8>("any", &()).map(drop),
        ctx.process(|| (), ()).start().map(drop),
        ctx.process_main(["x"]).start().map(drop),
    ];
    for error in errors.map(Result::unwrap_err) {
        assert!(matches!(error, Error::NotFrozen), "{error:?}");
        assert!(error.to_string().contains("freeze_support()"), "{error}");
    }
    // Commands do not need it.
    let mut command = ctx.command("true").start().unwrap();
    assert!(command.join(None).unwrap().unwrap().success());
}

/// No daemon: tells where it was looked for, a line each.
fn no_daemon() {
    let ctx = context().with_server(mpfork::ServerChoice::Mpforkd);
    let Err(Error::NoServer(error)) = ctx.spawn(|| (), ()) else {
        panic!("there is one");
    };
    for attempt in &error.tried {
        let place = &attempt.place;
        println!(
            "{:?} {} {}",
            place.origin,
            attempt.absent,
            place.path.display()
        );
        assert!(!attempt.why.is_empty());
        let path = place.path.to_str().unwrap();
        assert!(error.to_string().contains(path), "{error}");
    }
}

/// A worker that goes on with this `main`.
fn main_again() {
    let own_name = std::env::args_os().next().unwrap();
    let args = [
        "in-main".as_ref(),
        own_name.as_os_str(),
        "a b".as_ref(),
        "".as_ref(),
    ];
    let builder = context().process_main(args);
    let mut process = builder.name("again").start().unwrap();
    process.join(None).unwrap();
    assert_eq!(process.exitcode(), Some(33));
    assert_eq!(std::env::args().nth(1).unwrap(), "main");
    let mut process = context().process_main(["in-main-panic"]).start().unwrap();
    process.join(None).unwrap();
    let failure = process.exit().unwrap().failure().unwrap();
    assert_eq!(failure.message, "main panics");
    assert_ne!(process.exitcode(), Some(0));
}

pub(crate) fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("not-frozen") {
        not_frozen();
        return ExitCode::SUCCESS;
    }
    mpfork::freeze_support();
    let args: Vec<_> = std::env::args_os()
        .map(|arg| arg.into_string().unwrap())
        .collect();
    let words: Vec<_> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["no-daemon"] => no_daemon(),
        ["main"] => main_again(),
        ["in-main", name, rest @ ..] => {
            assert_eq!(args[0], *name);
            assert_eq!(mpfork::args_os().next().unwrap(), *name);
            assert_eq!(rest, ["a b", ""]);
            assert_eq!(mpfork::current_process().name, "again");
            return ExitCode::from(33);
        }
        ["in-main-panic"] => panic!("main panics"),
        ["in-main-ignored", expected] => {
            return ExitCode::from(u8::from(
                start_state::own_ignored().to_string() != *expected,
            ));
        }
        ["removed-directory", folder] => start_state::removed_directory(folder.as_ref()),
        ["commands-state", folder] => start_state::of_commands(folder.as_ref()),
        ["dispositions"] => start_state::dispositions(),
        ["idle-memory"] => start_state::idle_memory(),
        ["descriptors", kept] => descriptors::nothing_else_is_open(kept),
        ["closed-stdin"] => descriptors::closed_stdin(),
        ["buffered"] => stdio::buffered(),
        ["numbers", expected, ..] => preloads::in_a_worker(expected.parse().unwrap()),
        ["lazy"] => preloads::lazily(),
        ["broken"] => preloads::broken(),
        ["hooks", how] => hooks::around(how),
        ["hook-fails", which] => hooks::failing(which),
        ["fork"] => forked::child_and_parent(),
        ["relayed-fork"] => relayed::beside_a_forked_child(),
        ["relayed-sigpipe"] => relayed::with_sigpipe_at_its_default(),
        ["owner", how, gate] => owner::start_and(how, gate),
        ["children"] => children::listed(),
        ["parent"] => children::their_parent(),
        ["fallback"] => start_methods::fallback(),
        ["top-level"] => start_methods::top_level(),
        ["chosen-preloads"] => settings::chosen_preloads(),
        ["failing-preload", how] => settings::failing_preload(how),
        ["executable", folder, other] => settings::executable(folder.as_ref(), other),
        ["executable-of-environment", path, what] => {
            settings::executable_of_the_environment(path.as_ref(), what);
        }
        ["default-method", rest @ ..] => start_methods::default(rest),
        _ => panic!("can't do {words:?}"),
    }
    ExitCode::SUCCESS
}
