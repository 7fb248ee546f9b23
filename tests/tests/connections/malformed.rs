//! Messages that are none.

use super::raw;
use super::{alone, serves, settled};
use mpfork_proto::Message as _;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Setup, check, refused, refused_field};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tonic::Status;
use tonic::body::Body;
use tonic::client::GrpcService as _;

/// Makes a call with these bytes as its body.
async fn call(channel: &mpfork_transport::Channel, path: &str, body: Vec<u8>) -> Status {
    let request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Whole(Some(body.into()))))
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .unwrap();
    let answer = channel.call(request).await.unwrap();
    Status::from_header_map(answer.headers()).expect("it is refused")
}

struct Whole(Option<tonic::codegen::Bytes>);

impl http_body::Body for Whole {
    type Data = tonic::codegen::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Status>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

#[test]
fn messages_that_do_not_decode_are_bad_requests() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for path in [
            "ForkServer/RunWorker",
            "Templates/RegisterTemplate",
            "Admin/Shutdown",
        ] {
            let path = format!("/mpfork.v1.{path}");
            // No protobuf, cut off, compressed by nothing known.
            let mut cut = raw::message(b"whatever");
            cut.truncate(9);
            for body in [raw::message(&[0xff; 40]), cut] {
                let status = call(&client.channel, &path, body).await;
                refused_field::<()>(Err(status), "message");
            }
        }
        serves(&client).await;
    });
}

#[test]
fn messages_that_are_too_large_are_refused_by_their_limit() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut spec = shell("exit 0");
        let state = spec.state.as_mut().unwrap();
        let large = "x".repeat(5 << 20);
        state
            .env
            .push(mpfork_tests::harness::spec::set("LARGE", &large));
        let problem = refused(client.try_run(spec).await, Reason::LimitReached);
        assert_eq!(problem.get("limit"), "message bytes");
        assert_eq!(problem.get("value"), "4194304");
        // Only its length is too large.
        let mut lie = vec![0];
        lie.extend(u32::MAX.to_be_bytes());
        let status = call(&client.channel, "/mpfork.v1.Admin/GetStatus", lie).await;
        refused::<()>(Err(status), Reason::LimitReached);
        serves(&client).await;
    });
}

#[test]
fn calls_that_there_are_not_are_unimplemented() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for path in ["/mpfork.v1.Admin/Nothing", "/nobody.v9.Nothing/At", "/"] {
            let status = call(&client.channel, path, raw::message(b"")).await;
            assert_eq!(status.code(), tonic::Code::Unimplemented, "{status:?}");
        }
        serves(&client).await;
    });
}

/// Conversations with some bytes changed, cut, or put in: whatever comes of it, the daemon lives.
#[test]
fn conversations_with_faults_in_them_do_no_harm() {
    let seed = mpfork_tests::harness::seed();
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let descriptors = settled(daemon, &client).await;
        let socket = daemon.socket().to_owned();
        let hostile = tokio::task::spawn_blocking(move || {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..400 {
                let mut bytes = conversation(&mut random);
                for _ in 0..random.random_range(1..12) {
                    let at = random.random_range(0..bytes.len());
                    match random.random_range(0..4) {
                        0 => bytes[at] = random.random(),
                        1 => bytes[at] ^= 1 << random.random_range(0..8),
                        2 => bytes.truncate(at.max(1)),
                        _ => bytes.insert(at, random.random()),
                    }
                }
                let mut stream = raw::connect(&socket);
                raw::send(&mut stream, &bytes);
                // It waits for more, or has hung up already.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                raw::until_hung_up(&mut stream);
            }
        });
        let others = async {
            for _ in 0..50 {
                serves(&client).await;
            }
        };
        let (hostile, ()) = tokio::join!(hostile, others);
        hostile.unwrap();
        alone(daemon, &client, descriptors).await;
    });
}

/// A few calls as a client would make them; none of them ends the daemon.
fn conversation(random: &mut StdRng) -> Vec<u8> {
    let run = v1::RunWorkerRequest {
        spec: Some(shell("exit 0")),
    };
    let wait = v1::WaitWorkerRequest {
        worker: Some(v1::WorkerId::default()),
        timeout: None,
    };
    let calls = [
        ("ForkServer/RunWorker", run.encode_to_vec()),
        ("ForkServer/WaitWorker", wait.encode_to_vec()),
        ("ForkServer/ListWorkers", Vec::new()),
        ("Templates/ListTemplates", Vec::new()),
        ("Admin/GetStatus", Vec::new()),
    ];
    let mut bytes = raw::greeting(None);
    for number in 0..random.random_range(1..5u32) {
        let (path, message) = &calls[random.random_range(0..calls.len())];
        let path = format!("/mpfork.v1.{path}");
        bytes.extend(raw::call(2 * number + 1, &path, message));
    }
    bytes
}
