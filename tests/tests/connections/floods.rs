//! One connection asks for more than there is, and gets no more than its share.

use super::raw;
use super::{alone, serves, settled};
use http_body::{Frame, SizeHint};
use mpfork_proto::Message as _;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1;
use mpfork_tests::harness::process::resident_bytes;
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::codegen::Bytes;
use tonic::{Status, Streaming};

const MIB: u64 = 1 << 20;

/// The beginning of a request that never ends.
struct Stalling(Option<Bytes>);

impl http_body::Body for Stalling {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Sends the beginning of a start: its length says 4 MiB, and so much comes. What the daemon answers.
async fn half_a_start(client: &TestClient, bytes: usize) -> Result<(), Status> {
    let mut beginning = vec![0];
    beginning.extend((4u32 << 20).to_be_bytes());
    beginning.resize(bytes, 0);
    let request = http::Request::post("http://localhost/mpfork.v1.ForkServer/RunWorker")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Stalling(Some(beginning.into()))))
        .unwrap();
    let mut channel = client.channel.clone();
    let ready = std::future::poll_fn(|context| channel.poll_ready(context)).await;
    ready.unwrap();
    let answer = channel.call(request).await;
    let answer = answer.map_err(|error| Status::unknown(error.to_string()))?;
    Status::from_header_map(answer.headers()).map_or(Ok(()), Err)
}

#[test]
fn half_sent_requests_are_bounded() {
    let setup = Setup::new().config("[limits]\nrequest_bytes_per_connection = 8388608");
    check(setup, async |daemon| {
        let (client, other) = (daemon.connect().await, daemon.connect().await);
        serves(&other).await;
        let before = resident_bytes(daemon.pid());
        let local = tokio::task::LocalSet::new();
        let mut refusals = 0;
        let flood = async {
            let mut starts = tokio::task::JoinSet::new();
            let client = std::rc::Rc::new(client);
            for _ in 0..100 {
                let client = std::rc::Rc::clone(&client);
                starts.spawn_local(async move { half_a_start(&client, 1 << 20).await });
            }
            // Eight fit, or seven with what else there is; all others are refused.
            while refusals < 92 {
                let answer = starts.join_next().await.unwrap().unwrap();
                let problem = refused(answer, Reason::LimitReached);
                assert_eq!(problem.get("limit"), "limits.request_bytes_per_connection");
                assert_eq!(problem.get("value"), "8388608");
                refusals += 1;
            }
            serves(&other).await;
            let grown = resident_bytes(daemon.pid()).saturating_sub(before);
            assert!(grown < 40 * MIB, "{grown} bytes more of 100 MiB");
            // The connection itself is none the worse for it, once it has given up the others.
            starts.abort_all();
            while starts.join_next().await.is_some() {}
            eventually_async("there is room again", async || {
                client.try_run(shell("exit 0")).await.ok()
            })
            .await;
        };
        local.run_until(flood).await;
    });
}

#[test]
fn requests_that_wait_are_bounded_by_their_bytes() {
    let setup = Setup::new().config("[limits]\nrequest_bytes_per_connection = 8388608");
    check(setup, async |daemon| {
        let (client, other) = (daemon.connect().await, daemon.connect().await);
        let gate = daemon.gate();
        let digest = client
            .test_template(&[("TEST_FAULT", "gate-waits"), ("TEST_GATE", &gate)])
            .await;
        // Each 3 MB, for a template that is not warm: their calls are given up, the starts go on.
        let large = || function(&digest, "echo", "x".repeat(3_000_000));
        for waiting in 1..=2 {
            let start = client.try_run(large());
            let under_way = eventually_async("it waits", async || {
                (other.in_use("waiting_starts").await == waiting).then_some(())
            });
            tokio::select! {
                _ = start => panic!("it can't have started"),
                () = under_way => {}
            }
        }
        let problem = refused(client.try_run(large()).await, Reason::LimitReached);
        assert_eq!(problem.get("limit"), "limits.request_bytes_per_connection");
        serves(&other).await;
        std::fs::write(&gate, "").unwrap();
        eventually_async("there is room again", async || {
            client.try_run(large()).await.ok()
        })
        .await;
    });
}

#[test]
fn calls_of_a_connection_are_bounded() {
    let setup = Setup::new().config("[limits]\ncalls_per_connection = 3");
    check(setup, async |daemon| {
        let (client, other) = (daemon.connect().await, daemon.connect().await);
        let mut one = client.run(command(&["sleep", "600"])).await;
        let mut two = client.run(command(&["sleep", "600"])).await;
        let (id, waiting) = (one.id(), client.wait(Some(one.id())));
        let over = async {
            eventually_async("three calls are under way", async || {
                client.try_status().await.err()
            })
            .await
        };
        let status = tokio::select! {
            _ = waiting => panic!("it runs"),
            status = over => status,
        };
        let problem = refused::<()>(Err(status), Reason::LimitReached);
        assert_eq!(problem.get("limit"), "limits.calls_per_connection");
        assert_eq!(problem.get("value"), "3");
        // Another connection has its own.
        serves(&other).await;
        other.signal(id, 9, false).await.unwrap();
        assert_eq!(one.exit().await.exitcode(), -9);
        eventually_async("there is room again", async || {
            client.try_status().await.ok()
        })
        .await;
        other.signal(two.id(), 9, false).await.unwrap();
        two.exit().await;
    });
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    check(Setup::new().without_spares(), async |daemon| {
        const CALLS: u32 = 20_000;
        let client = daemon.connect().await;
        // What makes the answers long.
        for _ in 0..200 {
            let spec = v1::WorkerSpec {
                name: "x".repeat(256),
                ..shell("exit 3")
            };
            client.exit_of(spec).await;
        }
        let descriptors = settled(daemon, &client).await;
        let before = resident_bytes(daemon.pid());
        let socket = daemon.socket().to_owned();
        let flood = tokio::task::spawn_blocking(move || {
            let mut caller = raw::Caller::connect(&socket);
            for call in 0..CALLS {
                // ListWorkersRequest { ended: true }
                let path = "/mpfork.v1.ForkServer/ListWorkers";
                caller.call(2 * call + 1, path, b"\x08\x01");
            }
            raw::all_is_read(&mut caller.stream);
            caller.stream
        });
        let stream = flood.await.unwrap();
        serves(&client).await;
        let grown = resident_bytes(daemon.pid()).saturating_sub(before);
        println!("{CALLS} answers that nobody reads: {} MiB", grown / MIB);
        // One answer has more than 60 KB: 20,000 of them are over 1 GiB.
        assert!(grown < 200 * MIB, "{grown} bytes more");
        drop(stream);
        alone(daemon, &client, descriptors).await;
    });
}

#[test]
fn long_traces_that_nobody_reads_are_bounded() {
    check(Setup::new(), async |daemon| {
        const CALLS: u32 = 20_000;
        let client = daemon.connect().await;
        let digest = client.test_template(&[]).await;
        let text = "x".repeat(900_000);
        let mut run = client.run(function(&digest, "panic", text)).await;
        let exit = run.exit().await;
        assert!(exit.failure.unwrap().message.len() > 10_000);
        let before = resident_bytes(daemon.pid());
        let wait = v1::WaitWorkerRequest {
            worker: Some(run.id()),
            timeout: None,
        };
        let (socket, wait) = (daemon.socket().to_owned(), wait.encode_to_vec());
        let flood = tokio::task::spawn_blocking(move || {
            let mut caller = raw::Caller::connect(&socket);
            for call in 0..CALLS {
                caller.call(2 * call + 1, "/mpfork.v1.ForkServer/WaitWorker", &wait);
            }
            raw::all_is_read(&mut caller.stream);
            caller.stream
        });
        let stream = flood.await.unwrap();
        serves(&client).await;
        let grown = resident_bytes(daemon.pid()).saturating_sub(before);
        println!("{CALLS} traces that nobody reads: {} MiB", grown / MIB);
        assert!(grown < 150 * MIB, "{grown} bytes more");
        drop(stream);
        // Who reads is told, as often as it likes.
        for _ in 0..20 {
            assert_eq!(client.wait(Some(run.id())).await.unwrap().exitcode(), 1);
        }
    });
}

#[test]
fn calls_given_up_at_once_are_bounded() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let descriptors = settled(daemon, &client).await;
        let before = resident_bytes(daemon.pid());
        let socket = daemon.socket().to_owned();
        let flood = tokio::task::spawn_blocking(move || {
            let mut stream = raw::connect(&socket);
            raw::send(&mut stream, &raw::greeting(None));
            for call in 0..100_000u32 {
                let stream_id = 2 * call + 1;
                let path = "/mpfork.v1.Admin/GetStatus";
                raw::send(&mut stream, &raw::headers(stream_id, path));
                raw::send(&mut stream, &raw::reset(stream_id));
            }
        });
        let others = async {
            for _ in 0..20 {
                serves(&client).await;
            }
        };
        let (flooded, ()) = tokio::join!(flood, others);
        flooded.unwrap();
        alone(daemon, &client, descriptors).await;
        let grown = resident_bytes(daemon.pid()).saturating_sub(before);
        assert!(grown < 100 * MIB, "{grown} bytes more");
    });
}

#[test]
fn descriptors_beyond_the_credit_end_the_connection_that_sent_them() {
    let setup = Setup::new().without_spares().open_files(1024);
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let descriptors = settled(daemon, &client).await;
        let null = std::fs::File::open("/dev/null").unwrap();
        let many = vec![null.as_fd(); 253];
        for _ in 0..20 {
            // Before any handshake, and after one: by a copy of the socket.
            let stream = raw::connect(daemon.socket());
            let copy = stream.try_clone().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            let (channel, connection) = mpfork_transport::channel_over(stream).await.unwrap();
            let flooding = TestClient::over(channel, connection).await.unwrap();
            let unknown = raw::frame(0xee, 0, 0, b"");
            for _ in 0..3 {
                // It may be hung up on after the first.
                let _ = mpfork_sys::fdpass::send(copy.as_fd(), &unknown, &many);
            }
            serves(&client).await;
            flooding.connection.closed().await;
            let early = raw::connect(daemon.socket());
            let _ = mpfork_sys::fdpass::send(early.as_fd(), raw::PREFACE, &many);
            serves(&client).await;
        }
        alone(daemon, &client, descriptors).await;
        // Those that were sent honestly arrive.
        let queued = client.queue(vec![null.try_clone().unwrap().into()]).await;
        let mut spec = shell("test -c /proc/self/fd/9");
        spec::place(&mut spec, queued.descriptors[0], 9);
        assert!(client.exit_of(spec).await.success());
    });
}

async fn watch(client: &TestClient) -> Result<Streaming<v1::WatchEventsResponse>, Status> {
    let mut events = v1::events_client::EventsClient::new(client.channel.clone());
    let request = v1::WatchEventsRequest::default();
    Ok(events.watch_events(request).await?.into_inner())
}

#[test]
fn calls_that_go_on_are_few() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut watching = Vec::new();
        let refusal = loop {
            match watch(&client).await {
                Ok(events) => watching.push(events),
                Err(status) => break status,
            }
        };
        let problem = refused::<()>(Err(refusal), Reason::LimitReached);
        assert_eq!(problem.get("limit"), "streams of one connection");
        assert_eq!(watching.len(), 128);
        // Others are served, and so is this one.
        assert_eq!(client.exit_of(shell("exit 3")).await.exitcode(), 3);
        let other = daemon.connect().await;
        drop(watch(&other).await.unwrap());
        // A place that is free again is another's.
        watching.pop();
        eventually_async("there is one place", async || watch(&client).await.ok()).await;
    });
}
