//! When the kernel refuses descriptors: for want of numbers, or because too many are in flight. Alone
//! in its binary, since limits are the whole process's.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check, open_descriptors, request, token};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::fdpass;
use mpfork_transport::{DEFAULT_CREDIT, Failure};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

/// Lowers the limit of open files until dropped.
struct Lowered(Rlimit);

impl Lowered {
    fn to(limit: u64) -> Self {
        let before = getrlimit(Resource::Nofile);
        let current = Some(limit);
        setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
        Self(before)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

/// Puts more in flight than the limit of the tests that follow, and gives the sockets that hold it.
/// Other processes of the same user may have their part in what is in flight: the distance makes it
/// not matter.
fn fill() -> Vec<(StdUnixStream, StdUnixStream)> {
    let _lowered = Lowered::to(1000);
    let token = token(0);
    let mut full = Vec::new();
    loop {
        let (one, other) = StdUnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        for _ in 0..20 {
            match fdpass::send(one.as_fd(), b"x", &[token.as_fd(); 50]) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error()) => {
                    full.push((one, other));
                    return full;
                }
                Err(error) => panic!("{error}"),
            }
        }
        full.push((one, other));
        assert!(full.len() < 100, "the limit is not enforced");
    }
}

#[test]
fn no_number_is_free_for_a_descriptor() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let reservation = client.connection.reserve(2).await.unwrap();
        let queued = reservation.queue(vec![token(1), token(2)]).unwrap();
        // Nothing new can be opened, while what is open stays so.
        let lowered = Lowered::to(3);
        let error = client
            .call(request(&queued.descriptors, &[1, 2], 0), 0)
            .await;
        serving.latest().closed().await;
        drop(lowered);
        error.unwrap_err();
        let failure = serving.latest().failure().unwrap();
        assert_eq!(failure, Failure::DescriptorsLost);
        let problem = Problem::from(&failure);
        assert_eq!(problem.reason, Reason::LimitReached);
        assert!(problem.message.contains("raise its limit of open files"));
        let again = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        again.echo(&[1, 2], 1).await.unwrap();
    });
}

#[test]
fn too_many_in_flight_is_waited_for() {
    common::without_privileges();
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let full = fill();
        let lowered = Lowered::to(100);
        let calling = client.clone();
        let mut call = tokio::spawn(async move { calling.echo(&[1, 2], 2).await });
        // It waits: whatever can run has run, many times over, and it has not ended.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(!call.is_finished());
        drop(full);
        (&mut call).await.unwrap().unwrap();
        drop(lowered);
        assert_eq!(client.connection.failure(), None);
    });
}

#[test]
fn too_many_in_flight_for_too_long() {
    common::without_privileges();
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let full = fill();
        let lowered = Lowered::to(100);
        // The clock runs ahead whenever there is nothing else to do.
        tokio::time::pause();
        client.echo(&[1, 2], 2).await.unwrap_err();
        tokio::time::resume();
        drop((lowered, full));
        let failure = client.connection.failure().unwrap();
        let Failure::TooManyInFlight { waited } = failure else {
            panic!("{failure}");
        };
        assert!(waited >= Duration::from_secs(10) && waited < Duration::from_secs(20));
        let problem = Problem::from(&failure);
        assert_eq!(problem.get("limit"), "descriptors in flight");
        assert!(open_descriptors() < 100);
    });
}
