use super::*;
use crate::codec;
use crate::wrap::{fallible, typed};
use mpfork_sys::entry::{entry_at, offset_of};
use serde::Serialize;

/// All the way of a call but for the other process.
fn run(record: &'static Record, arguments: &impl Serialize) -> Returned {
    let offset = offset_of(record).unwrap();
    entry_at(offset).unwrap()(&codec::encode(arguments).unwrap())
}

fn call<F, A, M>(function: F, arguments: A) -> Returned
where
    F: Call<A, M>,
    A: Serialize + DeserializeOwned,
{
    run(call_record::<F, A, M>(function), &arguments)
}

fn exit<F, A, M>(function: F, arguments: A) -> Returned
where
    F: Target<A, M, Output: Ending>,
    A: Serialize + DeserializeOwned,
{
    run(exit_record::<F, A, M>(function), &arguments)
}

fn value<T: DeserializeOwned>(returned: Returned) -> T {
    match returned {
        Returned::Value(bytes) => codec::decode(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn failure(returned: Returned) -> Failed {
    match returned {
        Returned::Failed(failed) => failed,
        other => panic!("{other:?}"),
    }
}

fn parse(text: String) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::num::ParseIntError);

#[test]
fn results_come_back() {
    assert_eq!(value::<i32>(call(|a: i32, b: i32| a - b, (7, 2))), 5);
    assert_eq!(value::<i32>(call(|a: (i32, i32)| a.0 - a.1, (7, 2))), 5);
    assert_eq!(value::<String>(call(|| "none".to_owned(), ())), "none");
    let () = value(call(|_: u8| (), 1));
}

#[test]
fn an_error_comes_with_its_chain() {
    let failing = |text: String| text.parse::<i32>().map_err(Outer);
    let failed = failure(call(failing, "x".to_owned()));
    assert_eq!(failed.message, "outer");
    assert_eq!(failed.chain, ["invalid digit found in string"]);
    assert_eq!(failed.kind, FailedKind::Error);
    assert!(failed.value.is_none());
    let failed = failure(exit(|_: u8| Err::<(), _>("no"), 1));
    assert_eq!(failed.message, "no");
}

#[test]
fn an_error_may_be_told_in_two_ways() {
    assert_eq!(value::<i32>(call(fallible(parse), "17".to_owned())), 17);
    let failed = failure(call(fallible(parse), "x".to_owned()));
    assert_eq!(failed.message, "\"x\" is no number");
    assert!(failed.value.is_none());

    let number = value::<Result<i32, String>>(call(typed(parse), "17".to_owned()));
    assert_eq!(number, Ok(17));
    let failed = failure(call(typed(parse), "x".to_owned()));
    assert_eq!(failed.message, "\"x\" is no number");
    let typed: Result<i32, String> = codec::decode(&failed.value.unwrap()).unwrap();
    assert_eq!(typed, Err("\"x\" is no number".to_owned()));
}

#[test]
fn exit_codes() {
    use std::process::ExitCode;
    let code = |returned| match returned {
        Returned::Code(code) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(exit(|| (), ())), 0);
    for wanted in [0, 1, 3, 255] {
        assert_eq!(code(exit(|n: u8| ExitCode::from(n), wanted)), wanted);
        let ok = |n: u8| Ok::<_, String>(ExitCode::from(n));
        assert_eq!(code(exit(ok, wanted)), wanted);
    }
}

#[test]
fn a_wrong_argument_is_a_failure() {
    let record = call_record::<_, i32, _>(|n: i32| n);
    let failed = failure(run(record, &"text"));
    assert_eq!(failed.kind, FailedKind::Argument);
}

#[test]
fn functions_of_one_type_are_told_apart() {
    let offsets = [
        offset_of(call_record::<_, u8, _>(|n: u8| n)),
        offset_of(call_record::<_, u8, _>(|n: u8| n + 1)),
        offset_of(call_record::<_, i32, _>(|n: i32| n)),
    ];
    assert!(offsets.iter().all(Option::is_some));
    assert_ne!(offsets[0], offsets[1]);
}
