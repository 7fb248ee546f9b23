//! `spawn` of functions of every form, by a test binary. What is the same by all start methods is in the
//! conformance suite.

use super::common::check;
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
