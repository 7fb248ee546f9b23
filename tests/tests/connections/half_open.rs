//! Connections of which one direction is shut.

use super::{raw, serves};
use mpfork_proto::v1::WorkerId;
use mpfork_tests::harness::spec::{command, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, block_on, check, eventually_async};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

/// A client, and a copy of its socket.
async fn client(daemon: &Daemon) -> (TestClient, UnixStream) {
    let stream = raw::connect(daemon.socket());
    let copy = stream.try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
    let (channel, connection) = mpfork_transport::channel_over(stream).await.unwrap();
    let client = TestClient::over(channel, connection).await.unwrap();
    (client, copy)
}

async fn alone(observer: &TestClient) {
    eventually_async("the connection is gone", async || {
        (observer.in_use("connections").await == 1).then_some(())
    })
    .await;
}

#[test]
fn a_client_that_shuts_its_writing_side_is_gone() {
    check(Setup::new(), async |daemon| {
        let observer = daemon.connect().await;
        let (client, socket) = client(daemon).await;
        let run = client.run(command(&["sleep", "600"])).await;
        socket.shutdown(Shutdown::Write).unwrap();
        // Nothing more can come from it, so it is as if it had died.
        let exit = observer.wait(Some(run.id())).await.unwrap();
        assert_eq!(exit.exitcode(), -15, "{exit}");
        alone(&observer).await;
        serves(&observer).await;
    });
}

#[test]
fn a_client_that_shuts_its_reading_side_is_gone_when_it_is_told_something() {
    check(Setup::new(), async |daemon| {
        let observer = daemon.connect().await;
        let (client, socket) = client(daemon).await;
        let owned = client.run(command(&["sleep", "600"])).await;
        let (quick, _) = client.run_until_line(shell("echo ready; read line")).await;
        socket.shutdown(Shutdown::Read).unwrap();
        observer.signal(quick.id(), 9, false).await.unwrap();
        // Its exit can't be told to the client: that is the client's end.
        let exit = observer.wait(Some(owned.id())).await.unwrap();
        assert_eq!(exit.exitcode(), -15, "{exit}");
        alone(&observer).await;
        serves(&observer).await;
    });
}

/// A client with a worker that it owns, and one to whose output it is attached; then it does nothing any
/// more until it is let go.
fn one_that_stops_reading(
    socket: UnixStream,
    told: &tokio::sync::mpsc::UnboundedSender<WorkerId>,
    stopped: &mpsc::Receiver<()>,
) {
    block_on(async {
        socket.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(socket).unwrap();
        let (channel, connection) = mpfork_transport::channel_over(stream).await.unwrap();
        let client = TestClient::over(channel, connection).await.unwrap();
        let owned = client.run(command(&["sleep", "600"])).await;
        let attached = client.attach(command(&["yes"])).await;
        told.send(owned.id()).unwrap();
        // Nothing is read meanwhile: the runtime is this thread's.
        stopped.recv().unwrap_err();
        drop(attached);
    });
}

#[test]
fn a_client_that_has_ended_its_side_and_takes_nothing_is_gone_after_a_while() {
    let setup = Setup::new().config("[timeouts]\nhalf_closed = \"200ms\"");
    check(setup, async |daemon| {
        let observer = daemon.connect().await;
        let stream = raw::connect(daemon.socket());
        let copy = stream.try_clone().unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, stopped) = mpsc::channel();
        let client = std::thread::spawn(move || one_that_stops_reading(stream, &tell, &stopped));
        let owned = told.recv().await.unwrap();
        let mut before = 0;
        eventually_async("the socket is full", async || {
            let now = rustix::io::ioctl_fionread(&copy).unwrap();
            let full = now > 0 && std::mem::replace(&mut before, now) == now;
            full.then_some(())
        })
        .await;
        copy.shutdown(Shutdown::Write).unwrap();
        let exit = observer.wait(Some(owned)).await.unwrap();
        assert_eq!(exit.exitcode(), -15, "{exit}");
        alone(&observer).await;
        drop(go_on);
        client.join().unwrap();
        serves(&observer).await;
    });
}
