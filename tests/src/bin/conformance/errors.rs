//! Errors: those that functions return, and those of starts. The same in each way: type and words.

use super::common::{ended, failure, hanging, say_error};
use mpfork::{Context, Error, FailureKind};
use serde::{Deserialize, Serialize};

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

pub(crate) fn with_their_chain(ctx: &Context) {
    let good = ctx.spawn(parse, "17".to_owned()).unwrap().join();
    assert_eq!(good.unwrap(), 17);
    let error = ctx.spawn(parse, "x".to_owned()).unwrap().join();
    let error = error.unwrap_err();
    say_error(&error);
    let told = failure::<()>(Err(error));
    assert_eq!(told.kind, FailureKind::Error);
    assert_eq!(told.message, "the list can't be read");
    assert_eq!((told.chain, told.location), (vec![DIGIT.to_owned()], None));
    let told = failure(ctx.spawn(parse_in_context, "x".to_owned()).unwrap().join());
    assert_eq!(told.message, "the first layer");
    let chain = ["the second layer", "the list can't be read", DIGIT];
    assert_eq!(told.chain, chain);
}

pub(crate) fn boxed(ctx: &Context) {
    let boxed =
        |text: String| -> Result<(), Box<dyn std::error::Error + Send + Sync>> { Err(text.into()) };
    let told = failure(ctx.spawn(boxed, "so what".to_owned()).unwrap().join());
    assert_eq!((told.message.as_str(), told.chain.len()), ("so what", 0));
}

pub(crate) fn printed(ctx: &Context) {
    let fail = || parse_in_context("x".to_owned()).map(drop);
    let (exit, out, err) = ended(ctx.process(fail, ()));
    assert_eq!((exit.exitcode(), out.as_str()), (1, ""));
    assert_eq!(exit.failure().unwrap().chain.len(), 3);
    print!("{err}");
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

pub(crate) fn with_their_own_type(ctx: &Context) {
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
}

pub(crate) fn of_starts(ctx: &Context) {
    let process = || ctx.process(|| (), ());
    let wrong = [
        process().nice(77),
        process().current_dir("missing"),
        process().rlimit(99, 1, 1),
        process().rlimit(7, 2, 1),
        process().affinity([]),
        process().env("", "x"),
        process().env("a=b", "x"),
        process().env("a", "\0"),
        process().name("a\0b"),
        process().env("LARGE", "x".repeat(5 << 20)),
    ];
    for builder in wrong {
        match builder.start() {
            Err(error) => say_error(&error),
            Ok(mut process) => {
                let exit = process.join(None).unwrap().unwrap();
                println!("started, {exit}, not applied: {:?}", exit.not_applied());
            }
        }
    }
    // What starts workers is as good as before.
    assert_eq!(ctx.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
}

/// No function of that name: the worker can't start.
pub(crate) fn of_unknown_names(ctx: &Context) {
    let unknown = ctx.spawn_registered::<()>("no-such-function", &());
    say_error(&unknown.and_then(mpfork::Handle::join).unwrap_err());
}

pub(crate) fn closing_while_running(ctx: &Context) {
    let (process, gate) = hanging(ctx);
    let pid = process.pid();
    let error = process.close().unwrap_err();
    assert!(matches!(error, Error::StillRunning), "{error:?}");
    say_error(&error);
    assert!(super::common::lives(pid), "it is left running");
    std::fs::write(gate, "").unwrap();
    super::common::eventually("it ends", || (!super::common::lives(pid)).then_some(()));
    let mut ended = ctx.process(|| (), ()).start().unwrap();
    ended.join(None).unwrap();
    ended.close().unwrap();
}
