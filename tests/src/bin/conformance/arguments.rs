//! What functions are given.

use super::common::{ended, failure, say_error};
use super::values::{Each, Even, SIZES, of_every_kind};
use mpfork::{Context, Error, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

struct Arrive<'a>(&'a Context);

impl Each for Arrive<'_> {
    fn value<T>(&self, value: T)
    where
        T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + 'static,
    {
        let shown = |value: T| format!("{value:?}");
        let arrived = self.0.spawn(shown, value.clone()).unwrap().join().unwrap();
        assert_eq!(arrived, format!("{value:?}"));
    }
}

pub(crate) fn of_many_kinds(ctx: &Context) {
    of_every_kind(&Arrive(ctx));
}

pub(crate) fn of_every_size(ctx: &Context) {
    for size in SIZES {
        let length = ctx.spawn(|text: String| text.len(), "x".repeat(size));
        assert_eq!(length.unwrap().join().unwrap(), size);
        // Without a result, they come another way.
        let check = |text: String, size: usize| assert_eq!(text.len(), size);
        let mut process = ctx
            .process(check, ("x".repeat(size), size))
            .start()
            .unwrap();
        assert!(process.join(None).unwrap().unwrap().success(), "{size}");
    }
}

pub(crate) fn of_256_mib(ctx: &Context) {
    let length = ctx.spawn(
        |text: String| (text.len(), text.bytes().last()),
        "x".repeat(256 << 20),
    );
    assert_eq!(length.unwrap().join().unwrap(), (256 << 20, Some(b'x')));
}

mod inner {
    pub(crate) struct Counter;

    impl Counter {
        pub(crate) fn twice(n: u32) -> u32 {
            2 * n
        }
    }
}

fn six(a: u8, b: u16, c: u32, d: String, e: Option<bool>, f: [i8; 2]) -> String {
    format!("{a} {b} {c} {d} {e:?} {f:?}")
}

pub(crate) fn of_every_form_of_function(ctx: &Context) {
    assert_eq!(ctx.spawn(|| 17, ()).unwrap().join().unwrap(), 17);
    assert_eq!(ctx.spawn(|n: u32| n + 1, 1).unwrap().join().unwrap(), 2);
    let called = ctx.spawn(inner::Counter::twice, 21).unwrap().join();
    assert_eq!(called.unwrap(), 42);
    assert_eq!(ctx.spawn(u32::count_ones, 255).unwrap().join().unwrap(), 8);
    let two = ctx.spawn(|a: u8, b: String| format!("{b}{a}"), (1, "b".to_owned()));
    assert_eq!(two.unwrap().join().unwrap(), "b1");
    let tuple = ctx.spawn(|pair: (u8, u8)| pair.0 - pair.1, (3, 1));
    assert_eq!(tuple.unwrap().join().unwrap(), 2);
    let arguments = (1, 2, 3, "four".to_owned(), Some(true), [6, 7]);
    let many = ctx.spawn(six, arguments).unwrap().join().unwrap();
    assert_eq!(many, "1 2 3 four Some(true) [6, 7]");
    // Two closures of the same form are two functions.
    let (first, second) = (|n: u8| n / 2, |n: u8| n * 2);
    assert_eq!(ctx.spawn(first, 8).unwrap().join().unwrap(), 4);
    assert_eq!(ctx.spawn(second, 8).unwrap().join().unwrap(), 16);
}

mpfork::register!("join-words", |words: Vec<String>, with: String| words
    .join(&with));
mpfork::register!("nothing", || ());

pub(crate) fn by_registered_name(ctx: &Context) {
    let words = (vec!["a", "b"], "-");
    let call = ctx.spawn_registered::<String>("join-words", &words);
    assert_eq!(call.unwrap().join().unwrap(), "a-b");
    let (exit, ..) = ended(ctx.process_registered("nothing", &()));
    assert!(exit.success());
    // What does not fit the function is told by the worker.
    let call = ctx.spawn_registered::<String>("join-words", &1);
    let told = failure(call.unwrap().join());
    assert_eq!(told.kind, FailureKind::Argument);
    println!("{told}");
}

pub(crate) fn that_can_not_be_encoded(ctx: &Context) {
    let number = |even: Even| even.0;
    let error = ctx.spawn(number, Even(1)).unwrap_err();
    assert!(matches!(error, Error::Encode(_)));
    say_error(&error);
    let error = ctx.process(|_: Even| (), Even(1)).start().unwrap_err();
    assert!(matches!(error, Error::Encode(_)));
    say_error(&error);
    assert_eq!(ctx.spawn(number, Even(2)).unwrap().join().unwrap(), 2);
}

pub(crate) fn that_can_not_be_decoded(ctx: &Context) {
    let error = ctx.spawn(|even: Even| even.0, Even(4)).unwrap().join();
    let error = error.unwrap_err();
    say_error(&error);
    let told = failure::<()>(Err(error));
    assert_eq!(told.kind, FailureKind::Argument);
    let (exit, _, err) = ended(ctx.process(|_: Even| (), Even(4)));
    assert_eq!(exit.exitcode(), 1);
    print!("{err}");
}
