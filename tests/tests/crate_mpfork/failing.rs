//! How a worker's failure reaches its caller, and its standard error.

use super::common::check;
use mpfork::{Context, Error, Failure, FailureKind, ProcessBuilder, Stdio, WorkerError};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::process::ExitCode;

fn worker_error<T>(result: Result<T, Error>) -> WorkerError {
    match result.map(drop).unwrap_err() {
        Error::Worker(error) => *error,
        other => panic!("{other:?}"),
    }
}

fn failure<T>(result: Result<T, Error>) -> Failure {
    let error = worker_error(result);
    assert_eq!(error.exit.exitcode(), 1, "{error}");
    error.failure.unwrap()
}

/// Runs it to its end; its exit code, its failure, and what it printed to standard error.
fn ended(process: ProcessBuilder) -> (i32, Option<Failure>, String) {
    let mut process = process.stderr(Stdio::piped()).start().unwrap();
    let mut printed = String::new();
    let mut stderr = process.take_stderr().unwrap();
    stderr.read_to_string(&mut printed).unwrap();
    let exit = process.join(None).unwrap().unwrap();
    assert_eq!(process.exitcode(), Some(exit.exitcode()));
    (exit.exitcode(), exit.failure(), printed)
}

fn panics(n: u32) -> u32 {
    assert!(n > 100, "{n} is too small");
    n
}

#[test]
fn a_panic_arrives_with_its_message_and_location() {
    check(|server| {
        let call = server.ctx.spawn(panics, 3).unwrap().join();
        let told = failure(call);
        assert_eq!(told.kind, FailureKind::Panic);
        assert_eq!(told.message, "3 is too small");
        let location = told.location.unwrap();
        assert!(location.contains("failing.rs:"), "{location}");
        assert_eq!(told.chain, Vec::<String>::new());

        let process = server.ctx.process(|| panic!("as {}", "text"), ());
        let (code, told, printed) = ended(process);
        assert_eq!(code, 1);
        assert_eq!(told.unwrap().message, "as text");
        assert!(printed.contains("failing.rs:"), "{printed}");
        assert!(printed.contains("as text"), "{printed}");
    });
}

#[test]
fn only_the_panic_that_ends_the_function_is_its_failure() {
    check(|server| {
        let caught = server.ctx.spawn(
            || std::panic::catch_unwind(|| panic!("caught")).is_err(),
            (),
        );
        assert!(caught.unwrap().join().unwrap());
        let in_a_thread = server.ctx.spawn(
            || std::thread::spawn(|| panic!("in a thread")).join().is_err(),
            (),
        );
        assert!(in_a_thread.unwrap().join().unwrap());
        let other = server
            .ctx
            .spawn(|| -> () { std::panic::panic_any(7_u8) }, ());
        assert_eq!(failure(other.unwrap().join()).kind, FailureKind::Panic);
    });
}

#[derive(Debug)]
struct Unreadable(std::num::ParseIntError);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the list can't be read")
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn parse(text: String) -> Result<u32, Unreadable> {
    text.parse().map_err(Unreadable)
}

fn parse_in_context(text: String) -> anyhow::Result<u32> {
    use anyhow::Context as _;
    parse(text)
        .context("the second layer")
        .context("the first layer")
}

const DIGIT: &str = "invalid digit found in string";

#[test]
fn an_error_arrives_with_its_chain() {
    check(|server| {
        let ctx = &server.ctx;
        assert_eq!(
            ctx.spawn(parse, "17".to_owned()).unwrap().join().unwrap(),
            17
        );
        let told = failure(ctx.spawn(parse, "x".to_owned()).unwrap().join());
        assert_eq!(told.kind, FailureKind::Error);
        assert_eq!(told.message, "the list can't be read");
        assert_eq!(told.chain, [DIGIT]);
        assert_eq!(told.location, None);
        let told = failure(ctx.spawn(parse_in_context, "x".to_owned()).unwrap().join());
        assert_eq!(told.message, "the first layer");
        assert_eq!(
            told.chain,
            ["the second layer", "the list can't be read", DIGIT]
        );
        let boxed = |text: String| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err(text.into())
        };
        let told = failure(ctx.spawn(boxed, "so what".to_owned()).unwrap().join());
        assert_eq!((told.message.as_str(), told.chain.len()), ("so what", 0));
    });
}

#[test]
fn an_error_is_printed_with_its_chain() {
    check(|server| {
        let fail = || parse_in_context("x".to_owned()).map(drop);
        let (code, told, printed) = ended(server.ctx.process(fail, ()));
        assert_eq!(code, 1);
        assert_eq!(told.unwrap().chain.len(), 3);
        let (message, causes) = printed.split_once("\n\nCaused by:\n").unwrap();
        assert_eq!(message, "Error: the first layer");
        let second = causes.find("the second layer").unwrap();
        assert!(causes.find(DIGIT).unwrap() > second, "{printed}");
    });
}

fn exit_with(code: i32) {
    #[allow(clippy::exit)]
    std::process::exit(code)
}

fn code_of(ctx: &Context, code: i32) -> i32 {
    ended(ctx.process(exit_with, code)).0
}

#[test]
fn exit_codes_arrive() {
    check(|server| {
        let ctx = &server.ctx;
        for code in [0, 1, 3, 101, 255] {
            assert_eq!(code_of(ctx, code), code);
        }
        let never = || -> ! {
            #[allow(clippy::exit)]
            std::process::exit(9)
        };
        assert_eq!(ended(ctx.process(never, ())).0, 9);
        assert_eq!(ended(ctx.process(|n: u8| ExitCode::from(n), 77)).0, 77);
        let fine = |n: u8| -> Result<ExitCode, Unreadable> { Ok(ExitCode::from(n)) };
        assert_eq!(ended(ctx.process(fine, 5)).0, 5);
        assert_eq!(ended(ctx.process(|| (), ())), (0, None, String::new()));
    });
}

#[test]
fn signals_arrive_as_negative_codes() {
    check(|server| {
        use nix::sys::signal::{Signal, raise};
        let killed = |number: i32| -> Result<(), nix::Error> { raise(Signal::try_from(number)?) };
        for number in [9, 15, 10] {
            assert_eq!(ended(server.ctx.process(killed, number)).0, -number);
        }
        let no_core = server.ctx.process(|| std::process::abort(), ());
        assert_eq!(ended(no_core.rlimit(4, 0, 0)).0, -6);
        let call = server.ctx.spawn(killed, 9).unwrap().join();
        let error = worker_error(call);
        assert_eq!((error.exit.signal(), error.failure), (Some(9), None));
    });
}

#[test]
fn a_call_whose_worker_leaves_early_has_no_result() {
    check(|server| {
        for code in [0, 4] {
            let error = worker_error(server.ctx.spawn(exit_with, code).unwrap().join());
            assert_eq!((error.exit.exitcode(), error.failure), (code, None));
        }
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refused {
    Small { by: u32 },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refused {}

fn at_least_ten(n: u32) -> Result<u32, Refused> {
    if n < 10 {
        return Err(Refused::Small { by: 10 - n });
    }
    Ok(n)
}

#[test]
fn an_error_may_arrive_with_its_own_type() {
    check(|server| {
        let ctx = &server.ctx;
        let call = |n| ctx.spawn(mpfork::typed(at_least_ten), n).unwrap().join();
        assert_eq!(call(12).unwrap(), Ok(12));
        assert_eq!(call(4).unwrap(), Err(Refused::Small { by: 6 }));
        let call = |n| ctx.spawn(mpfork::fallible(at_least_ten), n).unwrap().join();
        assert_eq!(call(12).unwrap(), 12);
        assert_eq!(failure(call(4)).message, "Small { by: 6 }");
        // The worker of a typed error fails like any other.
        let mut typed = ctx.spawn(mpfork::typed(at_least_ten), 1).unwrap();
        let exit = typed.process_mut().join(None).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 1);
        assert_eq!(exit.failure().unwrap().kind, FailureKind::Error);
        // A panic is no typed error.
        let panics = |_: u32| -> Result<u32, Refused> { panic!("instead") };
        let told = failure(ctx.spawn(mpfork::typed(panics), 1).unwrap().join());
        assert_eq!(told.kind, FailureKind::Panic);
    });
}

/// Can be written, or read, only when it holds an even number.
#[derive(Debug, Clone, Copy)]
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 2 == 1 {
            return Err(serde::ser::Error::custom("an odd one"));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number == 4 {
            return Err(serde::de::Error::custom("not four"));
        }
        Ok(Self(number))
    }
}

#[test]
fn what_can_not_be_written_or_read_is_told() {
    check(|server| {
        let ctx = &server.ctx;
        let number = |even: Even| even.0;
        assert!(matches!(ctx.spawn(number, Even(1)), Err(Error::Encode(_))));
        assert_eq!(ctx.spawn(number, Even(2)).unwrap().join().unwrap(), 2);
        let told = failure(ctx.spawn(number, Even(4)).unwrap().join());
        assert_eq!(told.kind, FailureKind::Argument);
        assert!(told.message.contains("not four"), "{told}");
        let told = failure(ctx.spawn(Even, 1).unwrap().join());
        assert_eq!(told.kind, FailureKind::Result);
        assert!(told.message.contains("an odd one"), "{told}");
        let unreadable = ctx.spawn(Even, 4).unwrap().join();
        assert!(
            matches!(unreadable, Err(Error::Decode(_))),
            "{unreadable:?}"
        );
    });
}
