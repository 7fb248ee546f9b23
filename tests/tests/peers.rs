//! Whoever is not the daemon's user is refused, whatever the call.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_tests::harness::another_user::{channel_of_nobody, for_everybody};
use mpfork_tests::harness::{Setup, check, refused, skip_unless_root};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::codegen::http::uri::PathAndQuery;

/// The paths of all calls that are served.
fn calls() -> Vec<String> {
    let sets = [
        mpfork_proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut calls = Vec::new();
    for set in sets {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                for call in &service.method {
                    let (package, service, call) = (file.package(), service.name(), call.name());
                    calls.push(format!("/{package}.{service}/{call}"));
                }
            }
        }
    }
    calls
}

#[test]
fn another_user_is_refused_on_every_call() {
    if skip_unless_root("become another user") {
        return;
    }
    check(Setup::new(), async |daemon| {
        let program = for_everybody(daemon);
        let channel = channel_of_nobody(&program, daemon).await;
        let mut calls = calls();
        assert!(calls.len() >= 20, "{calls:?}");
        // Not even what there is may be found out.
        calls.push("/mpfork.v1.Nothing/Nothing".to_owned());
        for call in calls {
            let mut client = tonic::client::Grpc::new(channel.clone());
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let path = PathAndQuery::try_from(call.as_str()).unwrap();
            let answer = client.unary(tonic::Request::new(()), path, codec).await;
            let problem = refused(answer, Reason::PermissionDenied);
            assert!(problem.get("detail").contains("65534"), "{call}: {problem}");
        }
    });
}
