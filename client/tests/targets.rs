//! The shapes of functions that can travel: that each compiles, and what its value is.

use mpfork::{Call, Ending, Target, fallible, typed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitCode;

/// As `Context::spawn`, but for the daemon.
fn call<F, A, M>(_function: F, _arguments: A) -> PhantomData<F::Value>
where
    F: Call<A, M>,
    A: Serialize + DeserializeOwned,
{
    PhantomData
}

/// As `Context::process`, but for the daemon.
fn process<F, A, M>(_function: F, _arguments: A)
where
    F: Target<A, M, Output: Ending>,
    A: Serialize + DeserializeOwned,
{
}

type Of<T> = PhantomData<T>;

#[derive(Debug, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("plain")]
struct PlainError;

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("both")]
struct SerdeError;

/// Can be serialized and is no error: its `Err` is a value like any other.
#[derive(Debug, Serialize, Deserialize)]
struct NoError;

fn count_tokens(paths: Vec<PathBuf>) -> usize {
    paths.len()
}
fn two(_: i32, _: String) {}
fn one_tuple(_: (i32, String)) {}
fn three(a: u8, b: Point, _: HashMap<String, Point>) -> (u8, Point) {
    (a, b)
}
fn six(a: u8, _: u8, _: u8, _: u8, _: u8, _: u8) -> u8 {
    a
}
fn generic<T: Serialize + DeserializeOwned>(value: T) -> T {
    value
}
fn with_anyhow(_: u8) -> anyhow::Result<Point> {
    anyhow::bail!("no")
}
fn with_boxed(_: u8) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Err("no".into())
}
fn with_io(_: u8) -> std::io::Result<String> {
    Ok(String::new())
}
fn with_plain(_: u8) -> Result<(), PlainError> {
    Err(PlainError)
}
fn with_static(_: u8) -> Result<(), &'static str> {
    Ok(())
}
fn with_string(_: u8) -> Result<i32, String> {
    Ok(1)
}
fn with_serde(_: u8) -> Result<i32, SerdeError> {
    Err(SerdeError)
}
fn with_no_error(_: u8) -> Result<i32, NoError> {
    Err(NoError)
}

#[test]
fn arguments_of_every_shape() {
    let _: Of<usize> = call(count_tokens, vec!["a".into()]);
    let _: Of<()> = call(two, (1, "two".to_owned()));
    let _: Of<()> = call(one_tuple, (1, "two".to_owned()));
    let point = || Point { x: 0.0, y: 1.0 };
    let _: Of<(u8, Point)> = call(three, (1, point(), HashMap::new()));
    let _: Of<u8> = call(six, (1, 2, 3, 4, 5, 6));
    let _: Of<Point> = call(generic::<Point>, point());
    let _: Of<(u8, u8)> = call(generic, (1u8, 2u8));
    let _: Of<u8> = call(|| 1u8, ());
    let _: Of<i64> = call(|n: i64| n, 1);
    let _: Of<String> = call(|n: i64, text: String| format!("{n}{text}"), (1, "t".into()));
    let _: Of<serde_json::Value> = call(|v: serde_json::Value| v, serde_json::json!({"a": 1}));
    let _: Of<Option<u8>> = call(|v: Option<u8>| v, None);
    let _: Of<usize> = call(Vec::<u8>::into_len, vec![1]);
    let _: Of<String> = call(String::from_iter::<Vec<char>>, vec!['a']);
}

trait IntoLen {
    fn into_len(self) -> usize;
}

impl<T> IntoLen for Vec<T> {
    fn into_len(self) -> usize {
        self.len()
    }
}

#[test]
fn errors_that_fail_the_worker() {
    let _: Of<Point> = call(with_anyhow, 1);
    let _: Of<u64> = call(with_boxed, 1);
    let _: Of<String> = call(with_io, 1);
    let _: Of<()> = call(with_plain, 1);
    let _: Of<()> = call(fallible(with_static), 1);
    let _: Of<i32> = call(fallible(with_string), 1);
    let _: Of<i32> = call(fallible(with_serde), 1);
}

#[test]
fn errors_that_arrive_as_they_are() {
    let _: Of<Result<i32, NoError>> = call(with_no_error, 1);
    let _: Of<Result<i32, String>> = call(typed(with_string), 1);
    let _: Of<Result<i32, SerdeError>> = call(typed(with_serde), 1);
    let _: Of<Result<u8, String>> = call(
        typed(|a: u8, b: u8| a.checked_add(b).ok_or_else(String::new)),
        (1, 2),
    );
}

#[test]
fn endings_of_processes() {
    process(two, (1, "two".to_owned()));
    process(|_: u8| ExitCode::from(3), 1);
    process(with_plain, 1);
    process(with_static, 1);
    process(|_: u8| -> ! { std::process::abort() }, 1);
    process(|| -> anyhow::Result<()> { anyhow::bail!("no") }, ());
    process(|| -> Result<ExitCode, String> { Ok(ExitCode::SUCCESS) }, ());
}

#[test]
fn a_generic_caller_can_be_written() {
    fn twice<F, M, T>(function: F, value: T) -> (Of<F::Value>, Of<F::Value>)
    where
        F: Call<T, M>,
        T: Clone + Serialize + DeserializeOwned,
    {
        (call(function, value.clone()), call(function, value))
    }
    let _: (Of<u8>, Of<u8>) = twice(|n: u8| n, 1);
}
