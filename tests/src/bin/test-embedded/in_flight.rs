//! Descriptors in flight, of which a user may have so many.

use super::common::{LONG, context, hold, limit_descriptors, make};
use mpfork::{Error, Reason, StartMethod};
use mpfork_sys::fdpass;
use mpfork_tests::harness::privileges::give_up_exemptions;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What this program may have open, and its user have in flight, of descriptors; others, who may do less than
/// root here, have more.
const FEW: u16 = 64;

/// So many descriptors in flight, until it is dropped.
fn put_in_flight(times: u32) -> (UnixStream, UnixStream) {
    let null = File::open("/dev/null").unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    // Others may have as many.
    limit_descriptors(1000 * u64::from(FEW));
    for _ in 0..times {
        fdpass::send(one.as_fd(), b"x", &[null.as_fd(); FEW as usize]).unwrap();
    }
    limit_descriptors(FEW.into());
    (one, other)
}

/// So many that no more are taken, whatever others have.
fn in_flight() -> (UnixStream, UnixStream) {
    put_in_flight(5)
}

/// So many that one start's assignment is taken and nothing after it, unless others have some.
fn nearly_in_flight() -> (UnixStream, UnixStream) {
    put_in_flight(1)
}

/// What waits and is not polled any more holds nobody up.
fn one_that_is_not_polled_holds_up_nobody() {
    let full = nearly_in_flight();
    super::common::runtime(1).block_on(async {
        let ctx = context();
        let start = ctx.process(hold, "go-on".to_owned()).start_async();
        let mut start = std::pin::pin!(start);
        let waited = tokio::time::timeout(Duration::from_millis(300), start.as_mut()).await;
        assert!(waited.is_err());
        drop(full);
        // In this very thread, which polls nothing meanwhile.
        let other = std::thread::spawn(|| context().process(hold, "go-on".to_owned()).start());
        let mut other = other.join().unwrap().unwrap();
        assert!(other.join(Some(LONG)).unwrap().unwrap().success());
        let mut started = start.await.unwrap();
        assert!(started.join_async().await.unwrap().success());
    });
}

/// The time a zygote has for a fork begins when it is asked, however long that had to wait for others.
pub(crate) fn slow_after_waiting() {
    give_up_exemptions();
    // The zygote may have as many as ever, and is not held up itself.
    let server = context().server().unwrap();
    let full = nearly_in_flight();
    make("go-on");
    let start = std::thread::spawn(|| context().process(hold, "go-on".to_owned()).start());
    std::thread::sleep(Duration::from_secs(8));
    drop(full);
    let mut started = start.join().unwrap().unwrap();
    assert!(started.join(Some(LONG)).unwrap().unwrap().success());
    assert_eq!(context().server().unwrap(), server);
}

/// For workers: as [`waits_for_others`].
fn start_in_time(_: ()) {
    waits_for_others(StartMethod::ForkServer);
}

/// Starts a process, for which there are too many descriptors in flight for a while.
fn waits_for_others(method: StartMethod) {
    let ctx = mpfork::get_context(method).unwrap();
    let full = in_flight();
    let start = std::thread::spawn(move || ctx.process(hold, "go-on".to_owned()).start());
    // That it waits shows by nothing but the time.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!start.is_finished());
    drop(full);
    let mut process = start.join().unwrap().unwrap();
    make("go-on");
    let exit = process.join(Some(LONG)).unwrap().unwrap();
    assert!(exit.success(), "{exit}");
}

/// Others take descriptors off their sockets sooner or later: until then, starts wait. Not for ever.
pub(crate) fn too_many() {
    give_up_exemptions();
    limit_descriptors(FEW.into());
    // The server is yet to be launched; it is there; it is asked for a link.
    waits_for_others(StartMethod::ForkServer);
    waits_for_others(StartMethod::ForkServer);
    waits_for_others(StartMethod::Spawn);
    let server = context().server().unwrap();
    context().spawn(start_in_time, ()).unwrap().join().unwrap();

    let full = in_flight();
    let begun = Instant::now();
    match context().process(hold, "go-on".to_owned()).start() {
        Err(Error::Server(problem)) => {
            assert_eq!(problem.reason, Reason::LimitReached, "{problem}");
            assert_eq!(problem.get("limit"), "descriptors in flight of the user");
        }
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < LONG);
    drop(full);
    let mut process = context().process(hold, "go-on".to_owned()).start().unwrap();
    assert!(process.join(Some(LONG)).unwrap().unwrap().success());
    one_that_is_not_polled_holds_up_nobody();
    assert_eq!(context().server().unwrap(), server);
}
