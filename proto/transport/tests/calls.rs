//! Calls with descriptors each way, over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Client, Serving, check, request, token};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_proto::v1::{Descriptor, RunWorkerRequest};
use mpfork_transport::{DEFAULT_CREDIT, MAX_CREDIT, SendError, uncancelled};
use tonic::Code;

#[test]
fn the_handshake_tells_who_is_there() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        assert!(client.handshake.descriptors);
        assert_eq!(client.handshake.instance, 5);
        assert_eq!(client.handshake.daemon, "test 2");
        assert_eq!(client.handshake.version, mpfork_proto::VERSIONS.1);
        assert_ne!(client.connection.id(), 0);
        assert_eq!(client.connection.id(), serving.latest().id());
        client.echo(&[1, 2, 3], 4).await.unwrap();
        client.echo(&[], 0).await.unwrap();
        assert!(!client.channel.is_closed());
    });
}

#[test]
fn what_has_come_and_was_not_read_is_news() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        client.echo(&[1], 1).await.unwrap();
        // What follows the last answer is read as well.
        while client.connection.has_news() {
            tokio::task::yield_now().await;
        }
        // With nobody to drive the runtime meanwhile.
        serving.break_all();
        assert!(client.connection.has_news() && !client.connection.is_closed());
        client.connection.closed().await;
        assert!(client.connection.has_news());
    });
}

#[test]
fn many_at_once() {
    common::raise_open_files();
    check(2, || async {
        let serving = Serving::start(MAX_CREDIT);
        let client = Client::connect(&serving.path, MAX_CREDIT).await;
        for count in [252, 253, 254, 506, 507, 600, 1000] {
            let tokens: Vec<u32> = (0..count).collect();
            client.echo(&tokens, tokens.len()).await.unwrap();
        }
        let most = client.connection.largest_set().unwrap();
        assert_eq!(most, MAX_CREDIT);
        let tokens: Vec<u32> = (0..most).collect();
        client.echo(&tokens, 1024).await.unwrap();
        let error = client.connection.reserve(2049).await.unwrap_err();
        assert_eq!(
            error,
            SendError::TooMany {
                count: 2049,
                most: 2048
            }
        );
        assert_eq!(Problem::from(error).reason, Reason::BadRequest);
        // More than the daemon may ever send at once is refused, not waited for.
        let error = client.echo(&[], 1026).await.unwrap_err();
        assert!(error.starts_with("BadRequest"), "{error}");
    });
}

#[test]
fn a_path_too_long_for_an_address() {
    check(1, || async {
        let folder = "f".repeat(120);
        let name = "s".repeat(80);
        let serving = Serving::start_in(format!("{folder}/{name}"), DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        client.echo(&[1], 1).await.unwrap();
        let missing = serving.path.with_file_name("missing");
        let error = Client::try_connect(&missing, 1).await.err().unwrap();
        assert!(error.contains("No such file"), "{error}");
    });
}

/// Calls with these references and gives the problem that comes back.
async fn refused(client: &Client, references: &[Descriptor]) -> Problem {
    let mut rpc = ForkServerClient::new(client.channel.clone());
    let status = rpc
        .run_worker(request(references, &[], 0))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let problem = Problem::from_status(&status).unwrap();
    assert_eq!(problem.reason, Reason::DescriptorMissing);
    problem
}

#[test]
fn references_that_are_not_good() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let one = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let other = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let reservation = one.connection.reserve(1).await.unwrap();
        let queued = reservation.queue(vec![token(9)]).unwrap();
        let good = queued.descriptors[0];

        // On another connection, with its id and without.
        let problem = refused(&other, &[good]).await;
        assert!(problem.get("detail").contains("another connection"));
        let number = good.number;
        let connection = other.connection.id();
        let problem = refused(&other, &[Descriptor { connection, number }]).await;
        assert!(problem.get("detail").contains("has arrived"));
        assert_eq!(problem.get("number"), number.to_string());
        let problem = refused(&other, &[Descriptor::default()]).await;
        assert!(problem.get("detail").contains("another connection"));
        // The probe is nobody's.
        let problem = refused(
            &other,
            &[Descriptor {
                connection,
                number: 0,
            }],
        )
        .await;
        assert!(problem.get("detail").contains("claimed before"));

        one.call(request(&[good], &[9], 0), 0).await.unwrap();
        let problem = refused(&one, &[good]).await;
        assert!(problem.get("detail").contains("claimed before"));

        // All that is named is taken, even if one of them is bad.
        let reservation = one.connection.reserve(2).await.unwrap();
        let queued = reservation.queue(vec![token(1), token(2)]).unwrap();
        let named = [queued.descriptors[0], good, queued.descriptors[1]];
        let problem = refused(&one, &named).await;
        assert_eq!(problem.get("number"), number.to_string());
        let problem = refused(&one, &[queued.descriptors[1]]).await;
        assert!(problem.get("detail").contains("claimed before"));
    });
}

#[test]
fn acknowledging_what_was_never_sent() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        client.echo(&[], 3).await.unwrap();
        let connection = serving.latest();
        let problem = connection.acknowledged(u64::MAX).unwrap_err();
        assert_eq!(problem.reason, Reason::BadRequest);
        assert_eq!(problem.get("field"), "received");
        connection.acknowledged(0).unwrap();
        client.echo(&[], 129).await.unwrap();
    });
}

#[test]
fn dropped_calls_cost_nothing() {
    check(1, || async {
        let serving = Serving::start(8);
        let client = Client::connect(&serving.path, 8).await;
        for round in 0..300 {
            let mine = client.clone();
            let call = uncancelled(async move { mine.echo(&[round, round + 1], 3).await });
            // Dropped at different points of the call's life.
            let mut call = std::pin::pin!(call);
            for _ in 0..round % 7 {
                tokio::select! {
                    biased;
                    _ = &mut call => break,
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        // All the credit there is, each way.
        let tokens: Vec<u32> = (0..8).collect();
        client.echo(&tokens, 5).await.unwrap();
        assert_eq!(client.connection.failure(), None);
    });
}

#[test]
fn a_dropped_channel_ends_the_connection() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        let (ours, theirs) = (client.connection.clone(), serving.latest());
        drop(client);
        tokio::join!(ours.closed(), theirs.closed());
        assert_eq!((ours.failure(), theirs.failure()), (None, None));
        let error = ours.reserve(1).await.unwrap_err();
        assert_eq!(error, SendError::Closed(None));
    });
}

#[test]
fn a_lost_connection_stays_lost() {
    check(1, || async {
        let serving = Serving::start(DEFAULT_CREDIT);
        let client = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        serving.break_all();
        client.connection.closed().await;
        // The server still listens, but nobody must connect again under our feet.
        let error = client
            .call(RunWorkerRequest::default(), 0)
            .await
            .unwrap_err();
        assert!(!error.is_empty());
        let error = client.call(request(&[], &[], 0), 0).await.unwrap_err();
        assert!(!error.is_empty());
        assert!(client.channel.is_closed());
        let again = Client::connect(&serving.path, DEFAULT_CREDIT).await;
        again.echo(&[1], 1).await.unwrap();
        assert_ne!(again.connection.id(), client.connection.id());
    });
}
