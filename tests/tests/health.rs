//! `grpc.health.v1`: for whoever decides by it where to send work.
#![allow(clippy::unwrap_used)]

use mpfork_tests::harness::spec::{duration, shell};
use mpfork_tests::harness::{Daemon, Setup, check, eventually_async};
use prost::Message as _;
use prost_types::{FileDescriptorSet, ServiceDescriptorProto};
use std::time::Duration;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// All of the contract, and the empty name: the daemon as a whole.
fn services() -> Vec<String> {
    let contract = FileDescriptorSet::decode(mpfork_proto::DESCRIPTORS).unwrap();
    let of_contract = contract.file.iter().flat_map(|file| {
        let name =
            |service: &ServiceDescriptorProto| format!("{}.{}", file.package(), service.name());
        file.service.iter().map(name)
    });
    let services: Vec<_> = std::iter::once(String::new()).chain(of_contract).collect();
    assert!(services.len() > 4, "{services:?}");
    services
}

/// On a connection that has made no handshake.
async fn client(daemon: &Daemon) -> HealthClient<mpfork_transport::Channel> {
    let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
    HealthClient::new(channel)
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

#[test]
fn the_daemon_and_each_service_serve() {
    check(Setup::new(), async |daemon| {
        let mut client = client(daemon).await;
        for service in services() {
            let answer = client.check(of(&service)).await.unwrap().into_inner();
            assert_eq!(answer.status, ServingStatus::Serving as i32, "{service:?}");
        }
        let status = client.check(of("mpfork.v1.Nothing")).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
    });
}

#[test]
fn who_watches_is_told_of_the_end_and_does_not_hold_it_up() {
    check(Setup::new(), async |daemon| {
        let ours = daemon.connect().await;
        let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
        let (mut run, _) = ours.run_until_line(shell(script)).await;
        let mut client = client(daemon).await;
        let mut news = client.watch(of("")).await.unwrap().into_inner();
        let first = news.message().await.unwrap().unwrap();
        assert_eq!(first.status, ServingStatus::Serving as i32);
        let request = mpfork_proto::v1::ShutdownRequest {
            grace: duration(Duration::from_secs(600)),
        };
        ours.admin().shutdown(request).await.unwrap();
        let next = news.message().await.unwrap().unwrap();
        assert_eq!(next.status, ServingStatus::NotServing as i32);
        for service in services() {
            let answer = client.check(of(&service)).await.unwrap().into_inner();
            assert_eq!(
                answer.status,
                ServingStatus::NotServing as i32,
                "{service:?}"
            );
        }
        ours.signal(run.id(), 9, true).await.unwrap();
        run.exit().await;
        // The stream ends before the connection is cut off.
        eventually_async("the stream ends", async || {
            news.message().await.unwrap().is_none().then_some(())
        })
        .await;
        drop((run, ours, client, news));
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}
