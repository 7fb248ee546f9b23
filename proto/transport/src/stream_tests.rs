use super::*;
use mpfork_proto::v1::Descriptor;
use rustix::fs::{MemfdFlags, memfd_create};
use std::os::unix::fs::FileExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const ID: u64 = 7;

/// Both ends of a connection that has had its handshake, but no HTTP.
fn pair(credit: u32) -> (FdStream, FdStream) {
    let (one, other) = UnixStream::pair().unwrap();
    let ends = (
        FdStream::client(one).unwrap(),
        FdStream::server(other).unwrap(),
    );
    for end in [&ends.0, &ends.1] {
        let mut state = end.connection.state();
        state.id = ID;
        state.phase = crate::connection::Phase::Open;
        state.send_credit = credit;
        state.receive_credit = credit;
        state.inbox.set_limit(credit as usize);
        drop(state);
        end.connection.shared.credit.add_permits(credit as usize);
    }
    ends
}

fn token(value: u64) -> OwnedFd {
    let file = std::fs::File::from(memfd_create("token", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(&value.to_be_bytes(), 0).unwrap();
    file.into()
}

fn value(descriptor: OwnedFd) -> u64 {
    let mut bytes = [0; 8];
    std::fs::File::from(descriptor)
        .read_exact_at(&mut bytes, 0)
        .unwrap();
    u64::from_be_bytes(bytes)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future)
        .await
        .expect("in time")
}

#[tokio::test]
async fn any_number_goes_with_the_smallest_message() {
    // More than are often allowed until a process raises its own limit.
    let files = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(files);
    limit.current = limit.maximum;
    rustix::process::setrlimit(files, limit).unwrap();
    for count in [0, 1, 252, 253, 254, 255, 506, 507, 600, 2048] {
        let (mut client, mut server) = pair(2048);
        let reservation = client.connection.reserve(count).await.unwrap();
        let tokens = (0..count as u64).map(token).collect();
        let queued = reservation.queue(tokens).unwrap();
        let send = async {
            client.write_all(b"fourteen bytes").await.unwrap();
            client.flush().await.unwrap();
            client
        };
        let receive = async {
            let mut message = [0; 14];
            server.read_exact(&mut message).await.unwrap();
            assert_eq!(&message, b"fourteen bytes");
            for (expected, reference) in queued.descriptors.iter().enumerate() {
                let descriptor = server.connection.claim(reference).unwrap();
                assert_eq!(value(descriptor), expected as u64);
            }
        };
        let (_client, ()) = within(async { tokio::join!(send, receive) }).await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_each_descriptor_with_its_message() {
    const MESSAGES: u64 = 400;
    // Messages of this size fill the socket's buffer many times over.
    const BYTES: usize = 20_000;
    let (mut client, mut server) = pair(16);
    let sender = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let reservation = client.connection.reserve(3).await.unwrap();
            let tokens = (0..3).map(|i| token(number * 3 + i)).collect();
            let queued = reservation.queue(tokens).unwrap();
            assert_eq!(queued.descriptors[0].number, number * 3);
            client.write_all(&vec![0; BYTES]).await.unwrap();
            client.flush().await.unwrap();
            // As if the call was answered.
            drop(queued);
            if number % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        client
    });
    // What may lie in the buffer of the socket unread is bounded by the kernel alone.
    server.connection.state().inbox.set_limit(2000);
    within(async {
        let mut message = vec![0; BYTES];
        for number in 0..MESSAGES {
            for piece in message.chunks_mut(777) {
                server.read_exact(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            for number in number * 3..number * 3 + 3 {
                let reference = Descriptor {
                    connection: ID,
                    number,
                };
                let descriptor = server.connection.claim(&reference).unwrap();
                assert_eq!(value(descriptor), number);
            }
        }
        sender.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_goes_over_the_credit_waits_in_turn() {
    let (client, server) = pair(4);
    let connection = client.connection();
    let first = connection.reserve(3).await.unwrap();
    let mut large = std::pin::pin!(connection.reserve(4));
    let mut small = std::pin::pin!(connection.reserve(1));
    tokio::select! {
        biased;
        _ = &mut large => panic!("there is credit for 1"),
        _ = &mut small => panic!("it is the other one's turn"),
        () = std::future::ready(()) => {}
    }
    // Unused credit comes back with the reservation, used credit with the call.
    let queued = first.queue(vec![token(0)]).unwrap();
    tokio::select! {
        biased;
        _ = &mut large => panic!("there is credit for 3"),
        () = std::future::ready(()) => {}
    }
    drop(queued);
    drop(within(&mut large).await.unwrap());
    drop(within(&mut small).await.unwrap());
    let refused = connection.reserve(5).await.unwrap_err();
    assert_eq!(refused, crate::SendError::TooMany { count: 5, most: 4 });
    drop(server);
}

#[tokio::test]
async fn waiting_for_credit_ends_with_the_connection() {
    let (client, _server) = pair(1);
    let connection = client.connection();
    let _all = connection.reserve(1).await.unwrap();
    let waiting = connection.reserve(1);
    let (result, ()) = within(async { tokio::join!(waiting, async { drop(client) }) }).await;
    assert_eq!(result.unwrap_err(), crate::SendError::Closed(None));
    within(connection.closed()).await;
    assert!(connection.is_closed());
    assert_eq!(connection.failure(), None);
}

#[tokio::test]
async fn a_gone_peer_is_a_typed_failure() {
    let (mut client, server) = pair(1);
    let reservation = client.connection.reserve(1).await.unwrap();
    let _queued = reservation.queue(vec![token(0)]).unwrap();
    drop(server);
    client.write_all(b"x").await.unwrap();
    let error = client.flush().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let failure = client.connection.failure();
    assert!(
        matches!(
            failure,
            Some(Failure::Socket {
                doing: "writing",
                ..
            })
        ),
        "{failure:?}"
    );
    assert!(client.connection.state().outbox.is_empty());
}

#[tokio::test]
async fn a_peer_is_given_up_that_has_ended_its_side_and_takes_nothing() {
    const LIMIT: Duration = Duration::from_millis(5);
    let (mut client, server) = pair(1);
    let mut server = server.abandoned_after(LIMIT);
    let much = vec![0; 4 << 20];
    // One that takes nothing may only be stopped.
    let early = timeout(LIMIT * 40, server.write_all(&much)).await;
    assert!(early.is_err(), "{early:?}");
    client.shutdown().await.unwrap();
    let error = within(server.write_all(&much)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let failure = server.connection.failure();
    assert_eq!(failure, Some(Failure::Abandoned { waited: LIMIT }));
}

#[tokio::test]
async fn a_peer_that_has_ended_its_side_and_reads_on_gets_everything() {
    let (mut client, server) = pair(1);
    let mut server = server.abandoned_after(Duration::from_secs(60));
    client.shutdown().await.unwrap();
    let much = vec![7; 4 << 20];
    let send = async {
        server.write_all(&much).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let receive = async {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    };
    let ((), got) = within(async { tokio::join!(send, receive) }).await;
    assert!(got == much);
}
