//! `grpc.reflection.v1`: the contract, from the daemon itself.
#![allow(clippy::unwrap_used)]

use mpfork_tests::harness::{Daemon, Setup, check};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use std::collections::BTreeSet;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Asks on a connection that has made no handshake.
async fn ask(daemon: &Daemon, request: MessageRequest) -> MessageResponse {
    let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let requests = once(request);
    let mut client = ServerReflectionClient::new(channel);
    let answer = client.server_reflection_info(requests).await;
    let mut answers = answer.unwrap().into_inner();
    let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
    answer.message_response.unwrap()
}

#[test]
fn every_service_of_the_contract_is_listed() {
    check(Setup::new(), async |daemon| {
        let request = MessageRequest::ListServices(String::new());
        let MessageResponse::ListServicesResponse(list) = ask(daemon, request).await else {
            panic!("no list");
        };
        let listed: BTreeSet<_> = list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect();
        let contract = FileDescriptorSet::decode(mpfork_proto::DESCRIPTORS).unwrap();
        let expected = contract.file.iter().flat_map(|file| {
            let name = |service: &prost_types::ServiceDescriptorProto| {
                format!("{}.{}", file.package(), service.name())
            };
            file.service.iter().map(name).collect::<Vec<_>>()
        });
        let mut expected: BTreeSet<_> = expected.collect();
        assert!(expected.len() >= 4, "{expected:?}");
        expected.insert("grpc.health.v1.Health".to_owned());
        for version in ["v1", "v1alpha"] {
            expected.insert(format!("grpc.reflection.{version}.ServerReflection"));
        }
        assert_eq!(listed, expected);
    });
}

#[test]
fn messages_are_described_with_what_they_need() {
    check(Setup::new(), async |daemon| {
        for symbol in [
            "mpfork.v1.ForkServer",
            "mpfork.v1.WorkerSpec",
            "google.protobuf.Duration",
            "grpc.health.v1.HealthCheckRequest",
        ] {
            let request = MessageRequest::FileContainingSymbol(symbol.to_owned());
            let MessageResponse::FileDescriptorResponse(files) = ask(daemon, request).await else {
                panic!("{symbol} is not known");
            };
            let files = files.file_descriptor_proto.iter();
            let files: Vec<_> = files
                .map(|file| FileDescriptorProto::decode(file.as_slice()).unwrap())
                .collect();
            let package = symbol.rsplit_once('.').unwrap().0;
            assert!(
                files.iter().any(|file| file.package() == package),
                "{symbol}"
            );
        }
        let request = MessageRequest::FileContainingSymbol("mpfork.v1.Nothing".to_owned());
        // As the protocol has it for what is not known, or the end of the stream with that code.
        let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let answer = ServerReflectionClient::new(channel)
            .server_reflection_info(once(request))
            .await;
        let code = match answer {
            Err(status) => status.code(),
            Ok(answer) => match answer.into_inner().message().await {
                Err(status) => status.code(),
                Ok(answer) => match answer.and_then(|answer| answer.message_response) {
                    Some(MessageResponse::ErrorResponse(error)) => error.error_code.into(),
                    other => panic!("{other:?}"),
                },
            },
        };
        assert_eq!(code, tonic::Code::NotFound);
    });
}

/// A stream of one request.
fn once<T: Send + 'static>(item: T) -> impl tonic::IntoStreamingRequest<Message = T> {
    futures_util::stream::once(std::future::ready(item))
}
