//! Who connects and makes no call is hung up on after a while.

use super::raw;
use super::{alone, serves, settled};
use mpfork_proto::problem::Problem;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::GetStatusRequest;
use mpfork_proto::v1::admin_client::AdminClient;
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused};

const SHORT: &str = "[timeouts]\nfirst_call = \"300ms\"";

/// Waits on a thread of its own, as the daemon's clients need this one.
async fn until_hung_up(mut stream: std::os::unix::net::UnixStream) -> Vec<u8> {
    let read = tokio::task::spawn_blocking(move || raw::until_hung_up(&mut stream));
    read.await.unwrap()
}

#[test]
fn a_silent_connection_is_hung_up_on_and_one_that_has_called_is_not() {
    let setup = Setup::new().without_spares().config(SHORT);
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let descriptors = settled(daemon, &client).await;
        let greeted = |bytes: &[u8]| {
            let mut stream = raw::connect(daemon.socket());
            raw::send(&mut stream, bytes);
            stream
        };
        // Nothing, a part of the greeting, all of it, and a call that never gets its message.
        let unfinished = [raw::greeting(None), raw::headers(1, "/x")].concat();
        let silent = [
            greeted(b""),
            greeted(&raw::PREFACE[..10]),
            greeted(&raw::greeting(None)),
            greeted(&unfinished),
        ];
        for stream in silent {
            until_hung_up(stream).await;
        }
        alone(daemon, &client, descriptors).await;
        // The first client has been silent for as long; but it has made a call before.
        serves(&client).await;
    });
}

#[test]
fn silent_connections_do_not_keep_others_out_for_long() {
    let setup = Setup::new()
        .config("[limits]\nconnections = 4")
        .config(SHORT);
    check(setup, async |daemon| {
        // Far more than are told why they are refused.
        let silent: Vec<_> = (0..200).map(|_| raw::connect(daemon.socket())).collect();
        let client = eventually_async("there is room", async || {
            TestClient::try_connect(daemon.socket()).await.ok()
        })
        .await;
        serves(&client).await;
        for stream in silent {
            until_hung_up(stream).await;
        }
    });
}

#[test]
fn a_refused_connection_is_told_why_and_then_hung_up_on() {
    let setup = Setup::new()
        .config("[limits]\nconnections = 1")
        .config(SHORT);
    check(setup, async |daemon| {
        let client = eventually_async("there is room", async || {
            TestClient::try_connect(daemon.socket()).await.ok()
        })
        .await;
        let (channel, connection) = mpfork_transport::connect(daemon.socket()).await.unwrap();
        let status = async || {
            let mut admin = AdminClient::new(channel.clone());
            admin.get_status(GetStatusRequest {}).await
        };
        let problem = refused(status().await, Reason::LimitReached);
        assert_eq!(problem.get("limit"), "limits.connections");
        // Calling again and again does not keep it.
        eventually_async("it is hung up on", async || {
            let status = status().await.unwrap_err();
            Problem::from_status(&status).is_none().then_some(())
        })
        .await;
        connection.closed().await;
        serves(&client).await;
    });
}
