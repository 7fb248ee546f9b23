//! Descriptors that are scarce, and those that are nobody's business.

use super::common::{LONG, all_numbers, context, hold, limit_descriptors, make};
use mpfork::{Error, Reason, StartMethod};
use mpfork_sys::fdpass;
use mpfork_tests::harness::privileges::give_up_exemptions;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A start without a free number fails, whichever of its descriptors it is that has none; nothing else is
/// disturbed.
pub(crate) fn none_are_left() {
    limit_descriptors(128);
    let ctx = context();
    let mut earlier = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    let server = ctx.server().unwrap();
    let (mut refused, mut started) = (0, Vec::new());
    for free in 0..24 {
        let mut taken = all_numbers();
        taken.truncate(taken.len().saturating_sub(free));
        let start = ctx.process(hold, "go-on".to_owned()).start();
        drop(taken);
        match start {
            Ok(process) => started.push(process),
            Err(Error::System { error, .. }) => {
                assert_eq!(error.raw_os_error(), Some(24), "{free}: {error}");
                refused += 1;
            }
            Err(Error::Server(problem)) => {
                assert_eq!(problem.reason, Reason::LimitReached, "{free}: {problem}");
                refused += 1;
            }
            Err(error) => panic!("{free}: {error}"),
        }
        assert!(earlier.is_alive(), "{free}");
        assert_eq!(ctx.server().unwrap(), server, "{free}");
    }
    assert!(
        refused > 3 && started.len() > 3,
        "{refused} {}",
        started.len()
    );
    make("go-on");
    for process in started.iter_mut().chain([&mut earlier]) {
        let exit = process.join(Some(LONG)).unwrap().unwrap();
        assert_eq!(exit.exitcode(), 0, "{exit}");
    }
}

/// For workers: starts another one, which waits.
fn start_one(name: String) -> bool {
    let started = context().process(hold, name).start();
    started.is_ok()
}

/// The zygote runs out of numbers for links; whoever launched it goes on.
pub(crate) fn few_in_the_zygote() {
    limit_descriptors(40);
    let ctx = context();
    let server = ctx.server().unwrap();
    limit_descriptors(1 << 16);
    let workers: Vec<_> = (0..40)
        .map(|_| ctx.spawn(start_one, "go-on".to_owned()).unwrap())
        .collect();
    let mut last = ctx.process(hold, "go-on".to_owned()).start().unwrap();
    assert_eq!(ctx.server().unwrap(), server);
    make("go-on");
    for worker in workers {
        assert!(worker.join().unwrap());
    }
    assert!(last.join(Some(LONG)).unwrap().unwrap().success());
}

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
    limit_descriptors(FEW.into());
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
pub(crate) fn too_many_in_flight() {
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

/// What this program inherited is not for its zygote, which would hold it as long as a worker is kept.
pub(crate) fn inherited(number: i32) {
    let here = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    for method in ["forkserver", "spawn"] {
        let ctx = mpfork::get_context(method.parse::<mpfork::StartMethod>().unwrap()).unwrap();
        let mut process = ctx.process(hold, ".".to_owned()).start().unwrap();
        process.join(Some(LONG)).unwrap();
        let zygote = ctx.server().unwrap().pid;
        for open in std::fs::read_dir(format!("/proc/{zygote}/fd")).unwrap() {
            let open = open.unwrap().path();
            assert_ne!(
                std::fs::read_link(&open).ok(),
                Some(here.clone()),
                "{open:?}"
            );
        }
    }
}
