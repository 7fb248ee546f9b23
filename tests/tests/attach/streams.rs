//! What goes in and comes out.

use super::{attachable, binary};
use mpfork_proto::v1::attach_request::Message;
use mpfork_proto::v1::attach_response::Event;
use mpfork_proto::v1::exit;
use mpfork_tests::harness::attach::request;
use mpfork_tests::harness::spec::{self, command, shell};
use mpfork_tests::harness::{Setup, check, eventually_async};

#[test]
fn input_goes_in_output_comes_out_and_the_exit_is_last() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "cat; printf 'on error' >&2; exit 7";
        let mut attached = client.attach(shell(script)).await;
        assert!(attached.started.pid > 0);
        attached.stdin(b"one\n").await;
        assert_eq!(attached.stdout(4).await, b"one\n");
        attached.stdin(b"\0\xff\xfe").await;
        attached.stdin_end().await;
        let all = attached.everything().await;
        assert_eq!(all.stdout, b"\0\xff\xfe");
        assert_eq!(all.stderr, b"on error");
        assert_eq!(all.exit.how, Some(exit::How::Code(7)));
        // The end of the client's half is the end of input too.
        let mut attached = client.attach(shell("cat; exit 8")).await;
        attached.stdin(b"two").await;
        attached.half_close();
        let all = attached.everything().await;
        assert_eq!(
            (all.stdout.as_slice(), all.exit.exitcode()),
            (&b"two"[..], 8)
        );
        // A worker that wants no input is no trouble.
        let mut attached = client.attach(shell("exec 0<&-; echo closed; exit 9")).await;
        assert_eq!(attached.stdout(7).await, b"closed\n");
        let all = attached.everything().await;
        assert_eq!(all.exit.exitcode(), 9);
    });
}

#[test]
fn large_binary_input_and_output_are_exact() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut attached = client.attach(command(&["cat"])).await;
        let sent = binary(8 << 20);
        let input = attached.take_input();
        let bytes = sent.clone();
        let sender = tokio::spawn(async move {
            for (chunk, size) in bytes.chunks(100_000).zip((1..=7).cycle()) {
                for part in chunk.chunks(chunk.len() / size + 1) {
                    let message = request(Message::Stdin(part.to_vec()));
                    input.send(message).await.unwrap();
                }
            }
        });
        let all = attached.everything().await;
        sender.await.unwrap();
        assert!(all.exit.success());
        assert!(all.stdout == sent, "{} bytes", all.stdout.len());
    });
}

#[test]
fn output_and_error_are_told_apart_and_streams_that_were_given_are_not_there() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script =
            "i=0; while [ $i -lt 2000 ]; do echo out $i; echo error $i >&2; i=$((i+1)); done";
        let all = client.attach(shell(script)).await.everything().await;
        let expected =
            |word: &str| -> String { (0..2000).map(|n| format!("{word} {n}\n")).collect() };
        assert_eq!(String::from_utf8(all.stdout).unwrap(), expected("out"));
        assert_eq!(String::from_utf8(all.stderr).unwrap(), expected("error"));
        let (reader, writer) = std::io::pipe().unwrap();
        let queued = client.queue(vec![writer.into()]).await;
        let mut given = shell("cat; echo given; echo attached >&2");
        spec::place(&mut given, queued.descriptors[0], 1);
        let mut attached = client.attach(given).await;
        attached.half_close();
        let all = attached.everything().await;
        assert_eq!(
            (all.stdout.as_slice(), all.stderr.as_slice()),
            (&b""[..], &b"attached\n"[..])
        );
        assert_eq!(std::io::read_to_string(reader).unwrap(), "given\n");
    });
}

#[test]
fn what_was_written_before_anybody_attached_comes_first() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "echo early; echo error >&2; cat; exit 4";
        let started = client
            .start(attachable(shell(script)), false)
            .await
            .unwrap();
        let id = started.worker.unwrap();
        let mut attached = client.attach_to(id).await.unwrap();
        assert_eq!((attached.id(), attached.started.pid), (id, started.pid));
        attached.stdin(b"late").await;
        attached.half_close();
        let all = attached.everything().await;
        assert_eq!(all.stdout, b"early\nlate");
        assert_eq!(all.stderr, b"error\n");
        assert_eq!(all.exit.exitcode(), 4);
        // Also of one that has ended meanwhile.
        let spec = attachable(shell("printf %060000d 1; echo error >&2; exit 5"));
        let started = client.start(spec, true).await.unwrap();
        client.wait(started.worker).await.unwrap();
        let mut attached = client.attach_to(started.worker.unwrap()).await.unwrap();
        let all = attached.everything().await;
        assert_eq!(
            (all.stdout.len(), all.stderr.as_slice()),
            (60_000, &b"error\n"[..])
        );
        assert_eq!(all.exit.exitcode(), 5);
    });
}

#[test]
fn the_next_who_attaches_gets_the_rest() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "trap 'echo two; exit 6' USR1; echo one; read x; echo \"end of input: $?\"; \
                      while :; do sleep 0.01; done";
        let mut first = client.attach(shell(script)).await;
        assert_eq!(first.stdout(4).await, b"one\n");
        let id = first.id();
        // Its input ends with the first.
        drop(first);
        let mut second = eventually_async("the first is gone", async || {
            client.attach_to(id).await.ok()
        })
        .await;
        assert_eq!(second.stdout(16).await, b"end of input: 1\n");
        // Input has ended: what is sent now goes nowhere.
        second.stdin(b"nobody reads this").await;
        assert!(client.signal(id, 10, false).await.unwrap());
        assert_eq!(second.next().await, Event::Stdout(b"two\n".to_vec()));
        assert_eq!(second.everything().await.exit.exitcode(), 6);
    });
}

#[test]
fn a_repeated_start_is_the_same_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let spec = shell("echo hello; cat; exit 3");
        let first = client.attach(spec.clone()).await;
        let id = first.id();
        drop(first);
        let mut again = eventually_async("the first is gone", async || {
            let start = mpfork_proto::v1::attach_request::Start {
                spec: Some(spec.clone()),
                detached: false,
            };
            client.try_attach(Message::Start(start)).await.ok()
        })
        .await;
        assert_eq!(again.id(), id);
        let all = again.everything().await;
        assert_eq!(all.exit.exitcode(), 3);
        // What was passed on once is not there again; how it ended is.
        let all = client.attach(spec).await.everything().await;
        assert_eq!((all.stdout, all.exit.exitcode()), (Vec::new(), 3));
        assert_eq!(client.status().await.workers.unwrap().started, 1);
    });
}
