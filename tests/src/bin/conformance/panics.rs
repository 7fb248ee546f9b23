//! Panics, in a program that unwinds and in one that aborts.

use super::common::{ended, failure, plain, worker_error};
use mpfork::{Context, FailureKind, ProcessBuilder};

/// How a worker ends that panics.
const CODE: i32 = if cfg!(panic = "abort") { -6 } else { 1 };

fn panics(n: u32) -> u32 {
    assert!(n > 100, "{n} is too small");
    n
}

/// No core.
fn quiet(process: ProcessBuilder) -> ProcessBuilder {
    process.rlimit(4, 0, 0)
}

pub(crate) fn with_message_and_location(ctx: &Context) {
    assert_eq!(ctx.spawn(panics, 101).unwrap().join().unwrap(), 101);
    let error = worker_error(ctx.spawn(panics, 3).unwrap().join());
    assert_eq!(error.exit.exitcode(), CODE);
    println!("{}", plain(&error.to_string()));
    let told = error.failure.unwrap();
    assert_eq!(told.kind, FailureKind::Panic);
    assert_eq!(told.message, "3 is too small");
    let location = told.location.unwrap();
    assert!(location.contains("panics.rs:"), "{location}");
    assert_eq!(told.chain, Vec::<String>::new());
    assert_eq!(told.backtrace, None);
    // Deep in the standard library it is where the caller was.
    let unwraps = || -> u32 { "x".parse().unwrap() };
    let told = failure(ctx.spawn(unwraps, ()).unwrap().join());
    println!("{}", plain(&told.to_string()));
}

pub(crate) fn printed(ctx: &Context) {
    let process = ctx.process(|| panic!("as {}", "text"), ());
    let (exit, out, err) = ended(quiet(process));
    assert_eq!((exit.exitcode(), out.as_str()), (CODE, ""));
    let told = exit.failure().unwrap();
    assert_eq!(
        (told.kind, told.message.as_str()),
        (FailureKind::Panic, "as text")
    );
    assert!(
        err.contains("panics.rs:") && err.contains("as text"),
        "{err}"
    );
    assert_eq!(err.matches("as text").count(), 1, "{err}");
}

pub(crate) fn with_a_payload_that_is_no_text(ctx: &Context) {
    let other = || -> () { std::panic::panic_any(7_u8) };
    let told = failure(ctx.spawn(other, ()).unwrap().join());
    assert_eq!(told.kind, FailureKind::Panic);
    println!("{}", plain(&told.to_string()));
}

/// Only the panic that ends the function is its failure.
pub(crate) fn caught(ctx: &Context) {
    let caught = || std::panic::catch_unwind(|| panic!("caught")).is_err();
    let call = ctx.spawn(caught, ()).unwrap().join();
    if cfg!(panic = "abort") {
        assert_eq!(failure(call).message, "caught");
    } else {
        assert!(call.unwrap());
    }
}

pub(crate) fn in_a_thread(ctx: &Context) {
    let in_a_thread = || std::thread::spawn(|| panic!("in a thread")).join().is_err();
    let call = ctx.spawn(in_a_thread, ()).unwrap().join();
    if cfg!(panic = "abort") {
        let error = worker_error(call);
        assert_eq!(error.exit.exitcode(), CODE);
        let message = error.failure.unwrap().message;
        assert!(message.starts_with("in a thread"), "{message}");
    } else {
        assert!(call.unwrap());
    }
}

pub(crate) fn with_a_backtrace(ctx: &Context) {
    let process = ctx
        .process(|| panic!("traced"), ())
        .env("RUST_BACKTRACE", "1");
    let (exit, ..) = ended(quiet(process));
    let trace = exit.failure().unwrap().backtrace.unwrap();
    assert!(trace.contains("with_a_backtrace"), "{trace}");
}
