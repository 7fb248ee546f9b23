//! A peer that sends more descriptors than it may is cut off, and nothing of it stays open.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check, token};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_sys::fdpass;
use mpfork_transport::{Connection, DEFAULT_CREDIT, Failure};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::net::UnixStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// A frame of a type that HTTP/2 does not know and so passes over.
const UNKNOWN: &[u8] = b"\x00\x00\x00\xee\x00\x00\x00\x00\x00";

/// Sends one message with this many descriptors.
fn send(socket: &StdUnixStream, bytes: &[u8], count: usize) {
    let token = token(0);
    let many = vec![token.as_fd(); count];
    let sent = fdpass::send(socket.as_fd(), bytes, &many).unwrap();
    assert_eq!(sent, (bytes.len(), count));
}

async fn flooded(connection: &Connection, expected: usize, most: usize) {
    connection.closed().await;
    let failure = connection.failure().unwrap();
    let Failure::Flooded { unclaimed, allowed } = failure else {
        panic!("{failure}");
    };
    assert!(unclaimed > expected, "{unclaimed}");
    assert_eq!(allowed, most);
    let problem = Problem::from(&failure);
    assert_eq!(problem.reason, Reason::LimitReached);
    assert_eq!(problem.get("value"), most.to_string());
}

/// How many of the tokens are open in this process.
fn tokens_open() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().contains("memfd:token"))
        .count()
}

#[test]
fn before_the_handshake() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let socket = StdUnixStream::connect(&serving.path).unwrap();
        // One may be the probe.
        send(&socket, PREFACE, 1);
        send(&socket, UNKNOWN, 1);
        let other = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        other.echo(&[1], 1).await.unwrap();
        drop(other);
        let first = serving.first();
        flooded(&first, 1, 1).await;
        assert_eq!(tokens_open(), 0);
        drop(socket);
    });
}

#[test]
fn after_the_handshake() {
    check(1, || async {
        let serving = Serving::start(40);
        let socket = UnixStream::connect(&serving.path).await.unwrap();
        let copy: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
        let copy = StdUnixStream::from(copy);
        let client = Client::on(socket, DEFAULT_CREDIT).await;
        client.echo(&[1, 2], 1).await.unwrap();
        send(&copy, UNKNOWN, 40);
        client.echo(&[], 1).await.unwrap();
        assert_eq!(tokens_open(), 40);
        // The last straw comes with an honest call.
        client.echo(&[3], 0).await.unwrap_err();
        flooded(&serving.latest(), 40, 40).await;
        client.connection.closed().await;
        assert_eq!(tokens_open(), 0);
        assert!(copy.as_raw_fd() > 2);
    });
}

#[test]
fn a_daemon_that_floods() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, 20).await;
        client.echo(&[1], 8).await.unwrap();
        let server = serving.socket();
        send(&server, UNKNOWN, 21);
        flooded(&client.connection, 20, 20).await;
        serving.latest().closed().await;
        let error = client.echo(&[1], 0).await.unwrap_err();
        assert!(error.contains("21 descriptors unclaimed"), "{error}");
        assert_eq!(tokens_open(), 0);
    });
}
