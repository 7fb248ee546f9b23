//! What functions return.

use super::common::{LONG, failure, fifo, say_error, wait_for};
use super::values::{Each, Even, SIZES, of_every_kind};
use mpfork::{Context, Error, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

fn same<T>(value: T) -> T {
    value
}

struct ComeBack<'a>(&'a Context);

impl Each for ComeBack<'_> {
    fn value<T>(&self, value: T)
    where
        T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + 'static,
    {
        let back: T = self
            .0
            .spawn(same::<T>, value.clone())
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(back, value);
    }
}

pub(crate) fn of_many_kinds(ctx: &Context) {
    of_every_kind(&ComeBack(ctx));
}

pub(crate) fn of_every_size(ctx: &Context) {
    for size in SIZES {
        let text = ctx.spawn(|size: usize| "y".repeat(size), size).unwrap();
        let text = text.join().unwrap();
        assert!(text.len() == size && text.bytes().all(|byte| byte == b'y'));
    }
}

pub(crate) fn of_256_mib(ctx: &Context) {
    let text = ctx.spawn(|size: usize| "y".repeat(size), 256 << 20);
    let text = text.unwrap().join().unwrap();
    assert_eq!((text.len(), text.bytes().last()), (256 << 20, Some(b'y')));
}

pub(crate) fn that_can_not_be_encoded(ctx: &Context) {
    let error = ctx.spawn(Even, 1).unwrap().join().unwrap_err();
    say_error(&error);
    assert_eq!(failure::<()>(Err(error)).kind, FailureKind::Result);
}

pub(crate) fn that_can_not_be_decoded(ctx: &Context) {
    let error = ctx.spawn(Even, 4).unwrap().join().unwrap_err();
    assert!(matches!(error, Error::Decode(_)), "{error:?}");
    say_error(&error);
}

/// A large result waits in memory, not in the worker, which ends.
pub(crate) fn do_not_hold_up_the_worker(ctx: &Context) {
    let mut call = ctx.spawn(|n: usize| vec![7_u8; n], 3 << 20).unwrap();
    let exit = call.process_mut().join(None).unwrap().unwrap();
    assert!(exit.success());
    assert_eq!(call.join().unwrap().len(), 3 << 20);
}

pub(crate) fn that_nobody_waits_for(ctx: &Context) {
    let gate = fifo();
    let done = std::env::current_dir().unwrap().join("done");
    let call = |gate: std::path::PathBuf, done: std::path::PathBuf| {
        wait_for(gate)?;
        // When this is there, the other end of its channel is gone.
        std::fs::write(done, "").map(|()| vec![7_u8; 300_000])
    };
    let call = ctx.spawn(call, (gate.clone(), done.clone())).unwrap();
    let pid = call.process().pid();
    drop(call);
    std::fs::write(gate, "").unwrap();
    super::common::eventually("it ends", || (!super::common::lives(pid)).then_some(()));
    assert!(done.exists());
}

pub(crate) fn waited_for_within_a_time(ctx: &Context) {
    let gate = fifo();
    let mut call = ctx.spawn(wait_for, gate.clone()).unwrap();
    assert_eq!(call.join_timeout(Duration::from_millis(20)).unwrap(), None);
    assert_eq!(call.join_timeout(Duration::ZERO).unwrap(), None);
    assert!(call.process().is_alive());
    std::fs::write(&gate, "open").unwrap();
    let read = call.join_timeout(LONG).unwrap();
    assert_eq!(read.as_deref(), Some("open"));
    let mut call = ctx.spawn(|| 3, ()).unwrap();
    assert_eq!(call.join_timeout(Duration::MAX).unwrap(), Some(3));
}
