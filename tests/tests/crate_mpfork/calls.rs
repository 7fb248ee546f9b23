//! `spawn`: functions of every form, with arguments and results of every kind.

use super::common::check;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

fn count_tokens(texts: Vec<String>) -> usize {
    texts.iter().map(|text| text.split(' ').count()).sum()
}

fn work(n: i32, text: String) {
    assert_eq!((n, text.as_str()), (1, "two"));
}

#[test]
fn the_first_program() {
    check(|server| {
        let run = || -> anyhow::Result<()> {
            let ctx = &server.ctx;
            let texts = vec!["to be or".to_owned(), "not to be".to_owned()];
            let total = ctx.spawn(count_tokens, texts)?.join()?;
            assert_eq!(total, 6);
            let mut p = ctx
                .process(work, (1, "two".to_string()))
                .name("w1")
                .start()?;
            p.join(Some(Duration::from_secs(30)))?;
            assert_eq!(p.exitcode(), Some(0));
            Ok(())
        };
        run().unwrap();
    });
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Fields { a: u8, b: Option<String> },
    List(Vec<Self>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Unit,
    Many { x: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outer {
    name: String,
    #[serde(flatten)]
    inner: Tagged,
}

fn same<T>(value: T) -> T {
    value
}

fn comes_back<T>(ctx: &mpfork::Context, value: T)
where
    T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + 'static,
{
    let back: T = ctx.spawn(same::<T>, value.clone()).unwrap().join().unwrap();
    assert_eq!(back, value);
}

#[test]
fn values_of_every_kind_come_back() {
    check(|server| {
        let ctx = &server.ctx;
        comes_back(
            ctx,
            json!({"null": null, "big": u64::MAX, "small": i64::MIN, "x": 1.5, "list": [1, "two", {}]}),
        );
        comes_back(ctx, Value::Null);
        comes_back(
            ctx,
            vec![
                Untagged::Number(-1),
                Untagged::Text(String::new()),
                Untagged::Fields { a: 1, b: None },
                Untagged::List(vec![Untagged::Number(3)]),
            ],
        );
        comes_back(ctx, vec![Tagged::Unit, Tagged::Many { x: 0.5 }]);
        let name = || "n".to_owned();
        let rest = [("extra".to_owned(), json!([1, {"deep": true}]))].into();
        comes_back(ctx, Open { name: name(), rest });
        let inner = Tagged::Many { x: 2.0 };
        comes_back(
            ctx,
            Outer {
                name: name(),
                inner,
            },
        );
        comes_back(ctx, ());
        comes_back(
            ctx,
            (u128::MAX, i8::MIN, 'ß', "ä€🦀".to_owned(), [0.25_f32; 3]),
        );
        comes_back(ctx, HashMap::from([(1_u32, "one".to_owned())]));
        comes_back(ctx, vec![Some(Some(1_u8)), None]);
        comes_back(ctx, Duration::from_nanos(1_000_000_001));
        comes_back(ctx, std::path::PathBuf::from("/a/b"));
    });
}

/// Sizes around everything that is a limit on the way: inline arguments, socket buffers, messages.
#[test]
fn values_of_every_size_come_back() {
    check(|server| {
        for size in [0, 1, 65_530, 65_536, 65_537, 300_000, 4 << 20, 12 << 20] {
            comes_back(&server.ctx, "x".repeat(size));
        }
        let length = server
            .ctx
            .spawn(|text: String| text.len(), "x".repeat(8 << 20));
        assert_eq!(length.unwrap().join().unwrap(), 8 << 20);
        let text = server.ctx.spawn(|size: usize| "y".repeat(size), 8 << 20);
        assert_eq!(text.unwrap().join().unwrap().len(), 8 << 20);
    });
}

/// A large result waits in memory, not in the worker, which ends.
#[test]
fn a_worker_does_not_wait_until_its_result_is_read() {
    check(|server| {
        let mut call = server.ctx.spawn(|n: usize| vec![7_u8; n], 3 << 20).unwrap();
        let exit = call.process_mut().join(None).unwrap().unwrap();
        assert!(exit.success());
        assert_eq!(call.join().unwrap().len(), 3 << 20);
    });
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

#[test]
fn functions_of_every_form_are_called() {
    check(|server| {
        let ctx = &server.ctx;
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
    });
}

mpfork::register!("join-words", |words: Vec<String>, with: String| words
    .join(&with));
mpfork::register!("nothing", || ());

#[test]
fn functions_are_called_by_their_registered_names() {
    check(|server| {
        let words = (vec!["a", "b"], "-");
        let call = server.ctx.spawn_registered::<String>("join-words", &words);
        assert_eq!(call.unwrap().join().unwrap(), "a-b");
        let mut process = server
            .ctx
            .process_registered("nothing", &())
            .start()
            .unwrap();
        process.join(None).unwrap();
        assert_eq!(process.exitcode(), Some(0));
        // No function of that name: the worker can't start.
        let unknown = server.ctx.spawn_registered::<()>("no-such-function", &());
        let error = unknown.and_then(mpfork::Handle::join).unwrap_err();
        assert!(error.to_string().contains("no-such-function"), "{error}");
    });
}

#[test]
fn a_worker_knows_itself_and_can_start_workers() {
    check(|server| {
        let call = server.ctx.spawn(
            |socket: std::path::PathBuf| -> Result<(String, u32), mpfork::Error> {
                let me = mpfork::current_process();
                assert!(me.worker.is_some());
                let ctx = super::common::context(&socket);
                let inner = ctx.spawn(|n: u32| n * n, 9)?.join()?;
                Ok((me.name, inner))
            },
            server.socket.clone(),
        );
        let (name, inner) = call.unwrap().join().unwrap();
        assert!(name.contains("calls"), "{name}");
        assert_eq!(inner, 81);
    });
}

#[test]
fn a_call_is_waited_for_with_a_limit() {
    check(|server| {
        let gate = super::user::fifo(&server.folder);
        let mut call = server
            .ctx
            .spawn(super::user::wait_for, gate.clone())
            .unwrap();
        assert_eq!(call.join_timeout(Duration::from_millis(20)).unwrap(), None);
        assert_eq!(call.join_timeout(Duration::ZERO).unwrap(), None);
        assert!(call.process().is_alive());
        std::fs::write(&gate, "open").unwrap();
        let read = call.join_timeout(super::user::LONG).unwrap();
        assert_eq!(read.as_deref(), Some("open"));
    });
}
