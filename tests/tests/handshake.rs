//! `Handshake`: versions, descriptors, and connections that have made none.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::connection_client::ConnectionClient;
use mpfork_proto::v1::fork_server_client::ForkServerClient;
use mpfork_proto::v1::{
    AcknowledgeRequest, Descriptor, HandshakeRequest, RunWorkerRequest, run_worker_response::Event,
};
use mpfork_tests::harness::spec::{self, shell};
use mpfork_tests::harness::{Daemon, Setup, TestClient, check, refused, refused_field};
use mpfork_transport::Channel;

async fn channel(daemon: &Daemon) -> Channel {
    let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
    channel
}

fn request(version_min: u32, version_max: u32) -> HandshakeRequest {
    HandshakeRequest {
        version_min,
        version_max,
        client: "a test".to_owned(),
        descriptor_credit: 0,
    }
}

#[test]
fn a_connection_learns_the_version_the_run_and_its_id() {
    check(Setup::new(), async |daemon| {
        let (one, two) = (daemon.connect().await, daemon.connect().await);
        assert!(one.handshake.descriptors && two.handshake.descriptors);
        assert_eq!(one.handshake.version, 1);
        assert_eq!(
            one.handshake.daemon,
            format!("mpforkd {}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(one.handshake.instance, two.handshake.instance);
        assert_ne!(one.connection.id(), two.connection.id());
        assert_ne!(one.connection.id(), 0);
    });
}

#[test]
fn versions_that_overlap_agree_and_others_are_refused() {
    check(Setup::new(), async |daemon| {
        for (min, max) in [(1, 1), (0, 5), (1, u32::MAX)] {
            let mut client = ConnectionClient::new(channel(daemon).await);
            let answer = client
                .handshake(request(min, max))
                .await
                .unwrap()
                .into_inner();
            assert_eq!((answer.version, answer.descriptor_credit), (1, 0));
        }
        for (min, max) in [(2, 2), (0, 0), (2, 1), (u32::MAX, u32::MAX)] {
            let mut client = ConnectionClient::new(channel(daemon).await);
            refused(
                client.handshake(request(min, max)).await,
                Reason::VersionMismatch,
            );
        }
    });
}

#[test]
fn a_connection_without_descriptors_works_without_them() {
    check(Setup::new(), async |daemon| {
        // A stock gRPC client: no handshake at all.
        let mut client = ForkServerClient::new(channel(daemon).await);
        let request = RunWorkerRequest {
            spec: Some(shell("exit 11")),
        };
        let mut events = client.run_worker(request).await.unwrap().into_inner();
        let Some(Event::Started(started)) = events.message().await.unwrap().unwrap().event else {
            panic!("not started");
        };
        assert_eq!(started.pidfd, None);
        let Some(Event::Exited(exit)) = events.message().await.unwrap().unwrap().event else {
            panic!("not exited");
        };
        assert_eq!(exit.exitcode(), 11);
        let mut spec = shell("exit 0");
        spec::place(&mut spec, Descriptor::default(), 3);
        let request = RunWorkerRequest { spec: Some(spec) };
        let refusal = client.run_worker(request).await;
        let problem = refused(refusal, Reason::DescriptorMissing);
        assert!(problem.get("detail").contains("handshake"), "{problem}");
    });
}

#[test]
fn a_credit_without_a_probe_is_none() {
    check(Setup::new(), async |daemon| {
        let mut client = ConnectionClient::new(channel(daemon).await);
        let answer = client.handshake(HandshakeRequest {
            descriptor_credit: 256,
            ..request(1, 1)
        });
        let answer = answer.await.unwrap().into_inner();
        assert_eq!(answer.descriptor_credit, 0, "the probe did not arrive");
    });
}

#[test]
fn a_second_handshake_and_wrong_acknowledgements_are_refused() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut connection = ConnectionClient::new(client.channel.clone());
        let again = connection.handshake(HandshakeRequest {
            descriptor_credit: 1,
            ..request(1, 1)
        });
        refused(again.await, Reason::BadRequest);
        let more = AcknowledgeRequest { received: 1 << 40 };
        refused_field(connection.acknowledge(more).await, "received");
        connection
            .acknowledge(AcknowledgeRequest { received: 0 })
            .await
            .unwrap();
        // The connection is none the worse for it.
        assert!(client.exit_of(shell("exit 0")).await.success());
    });
}

#[test]
fn credit_comes_back_over_thousands_of_calls() {
    let setup = Setup::new().config("[limits]\ndescriptor_credit = 8");
    check(setup, async |daemon| {
        let client: TestClient = daemon.connect().await;
        for _ in 0..300 {
            let (output, exit) = client.output_of(shell("echo x")).await;
            assert_eq!((output.as_str(), exit.success()), ("x\n", true));
        }
    });
}
