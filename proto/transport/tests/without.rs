//! Connections that carry no descriptors: calls work, and everything else is refused by name.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check, request};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::connection_client::ConnectionClient;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_proto::v1::{Descriptor, HandshakeRequest};
use mpfork_sys::fdpass;
use mpfork_transport::{DEFAULT_CREDIT, SendError};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use tokio::io::{AsyncWriteExt as _, Interest, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::Endpoint;

/// Which way a relay passes descriptors on.
#[derive(Clone, Copy)]
enum Relay {
    Bytes,
    DescriptorsToServer,
    DescriptorsToClient,
}

/// Listens at `path` and passes one connection on to `target`.
fn relay(path: PathBuf, target: PathBuf, way: Relay) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = UnixStream::connect(target).await.unwrap();
        drop(listener);
        match way {
            Relay::Bytes => {
                // It may end with either side gone.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
            Relay::DescriptorsToServer => {
                tokio::select! {
                    () = pass(&client, &server, true) => {}
                    () = pass(&server, &client, false) => {}
                }
            }
            Relay::DescriptorsToClient => {
                tokio::select! {
                    () = pass(&client, &server, false) => {}
                    () = pass(&server, &client, true) => {}
                }
            }
        }
        let _ = client.shutdown().await;
    });
}

/// Passes bytes on until the end, with the descriptors that come along or without.
async fn pass(from: &UnixStream, to: &UnixStream, descriptors: bool) {
    let mut buffer = vec![0; 4096];
    loop {
        let mut arrived = Vec::new();
        let read = from.async_io(Interest::READABLE, || {
            fdpass::receive(from.as_fd(), &mut buffer, &mut arrived)
        });
        let Ok(count @ 1..) = read.await else { return };
        if !descriptors {
            arrived.clear();
        }
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            let borrowed: Vec<BorrowedFd<'_>> = arrived.iter().map(|d| d.as_fd()).collect();
            let write = to.async_io(Interest::WRITABLE, || {
                fdpass::send(to.as_fd(), bytes, &borrowed)
            });
            let Ok((written, sent)) = write.await else {
                return;
            };
            drop(borrowed);
            bytes = &bytes[written..];
            arrived.drain(..sent);
        }
    }
}

async fn through(way: Relay) {
    let serving = Serving::start(DEFAULT_CREDIT);
    let path = serving.path.with_file_name("relay");
    relay(path.clone(), serving.path.clone(), way);
    let client = Client::connect(&path, DEFAULT_CREDIT).await;
    assert!(!client.handshake.descriptors);
    for connection in [&client.connection, &serving.latest()] {
        assert!(!connection.carries_descriptors());
        let error = connection.reserve(1).await.unwrap_err();
        assert_eq!(error, SendError::NoDescriptors);
        let problem = connection.claim(&Descriptor::default()).unwrap_err();
        assert_eq!(problem.reason, Reason::DescriptorMissing);
        assert!(problem.get("detail").contains("do not pass"));
    }
    for _ in 0..100 {
        client.echo(&[], 0).await.unwrap();
    }
    assert_eq!(client.connection.failure(), None);
}

#[test]
fn a_relay_of_bytes() {
    check(1, || through(Relay::Bytes));
}

#[test]
fn a_relay_with_descriptors_one_way() {
    check(1, || through(Relay::DescriptorsToServer));
    check(1, || through(Relay::DescriptorsToClient));
}

#[test]
fn no_credit_on_either_side() {
    for (ours, theirs) in [(0, DEFAULT_CREDIT), (DEFAULT_CREDIT, 0), (0, 0)] {
        check(1, || async move {
            let serving = Serving::start(theirs);
            let client = Client::connect(&serving.path, ours).await;
            assert!(!client.handshake.descriptors);
            assert!(!serving.latest().carries_descriptors());
            client.echo(&[], 0).await.unwrap();
        });
    }
}

#[test]
fn a_stock_client() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let uri = format!("unix://{}", serving.path.display());
        let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
        // Without a handshake.
        let mut rpc = ForkServerClient::new(channel.clone());
        rpc.run_worker(request(&[], &[], 0)).await.unwrap();
        let named = request(&[Descriptor::default()], &[], 0);
        let status = rpc.run_worker(named).await.unwrap_err();
        let problem = Problem::from_status(&status).unwrap();
        assert_eq!(problem.reason, Reason::DescriptorMissing);
        assert!(problem.get("detail").contains("no handshake"));
        // With one, but no descriptor.
        let mut handshake = HandshakeRequest {
            version_min: 0,
            version_max: u32::MAX,
            client: "stock".to_owned(),
            descriptor_credit: 10,
        };
        let mut connection = ConnectionClient::new(channel);
        let response = connection.handshake(handshake.clone()).await.unwrap();
        assert_eq!(response.get_ref().descriptor_credit, 0);
        assert_eq!(response.get_ref().version, mpfork_proto::VERSIONS.1);
        let status = connection.handshake(handshake.clone()).await.unwrap_err();
        let problem = Problem::from_status(&status).unwrap();
        assert_eq!(problem.reason, Reason::BadRequest);
        rpc.run_worker(request(&[], &[], 0)).await.unwrap();
        // With no version in common.
        (handshake.version_min, handshake.version_max) = (1000, 1001);
        let status = connection.handshake(handshake).await.unwrap_err();
        let problem = Problem::from_status(&status).unwrap();
        assert_eq!(problem.reason, Reason::VersionMismatch);
        assert_eq!(problem.get("client"), "stock, versions 1000 to 1001");
        assert_eq!(problem.get("daemon"), "test 2, versions 1 to 1");
    });
}
