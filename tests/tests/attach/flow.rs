//! Nobody is hurried, and nothing piles up.

use super::attachable;
use mpfork_proto::reason::Reason;
use mpfork_proto::v1::attach_request::Message;
use mpfork_proto::v1::attach_response::Event;
use mpfork_tests::harness::attach::request;
use mpfork_tests::harness::spec::{command, shell};
use mpfork_tests::harness::{Setup, check, eventually, eventually_async, process, refused};
use std::path::Path;
use std::time::Duration;

/// How much memory a process has, in bytes.
fn memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// How much a process has written in all.
fn written(pid: i32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

/// Waits until a process that writes has to wait; what it has written by then.
async fn stuck(pid: i32) -> u64 {
    let (mut last, mut times) = (0, 0);
    eventually_async("it waits for its reader", async || {
        let now = written(pid);
        let waits = process::see(pid).is_some_and(|seen| seen.state == 'S');
        times = if waits && now == last && now > 0 {
            times + 1
        } else {
            0
        };
        last = now;
        (times > 30).then_some(now)
    })
    .await
}

#[test]
fn a_slow_reader_holds_up_the_worker_and_takes_no_memory_of_mpforkd() {
    const ALL: usize = 64 << 20;
    const MOST: u64 = 8 << 20;
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("exit 0")).await;
        let before = memory(daemon.pid());
        let head = command(&["head", "-c", &ALL.to_string(), "/dev/zero"]);
        let mut attached = client.attach(head).await;
        let early = stuck(attached.started.pid).await;
        assert!(early < MOST, "{early} bytes went where nobody reads");
        assert!(memory(daemon.pid()) < before + MOST);
        // Others go on meanwhile, on the same connection too.
        assert!(client.exit_of(shell("exit 0")).await.success());
        let mut read = 0;
        let mut largest = 0;
        loop {
            match attached.next().await {
                Event::Stdout(bytes) => {
                    assert!(bytes.len() <= 64 << 10);
                    assert!(bytes.iter().all(|byte| *byte == 0));
                    read += bytes.len();
                }
                Event::Exited(exit) => {
                    assert!(exit.success());
                    break;
                }
                other => panic!("{other:?}"),
            }
            largest = largest.max(memory(daemon.pid()));
            // A reader that is slower than the worker.
            tokio::task::yield_now().await;
        }
        assert_eq!(read, ALL);
        assert!(largest < before + MOST, "{largest}, {before} before");
    });
}

#[test]
fn a_worker_nobody_attached_to_waits_when_its_pipe_is_full() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let spec = attachable(command(&["seq", "1", "400000"]));
        let started = client.start(spec, true).await.unwrap();
        let early = stuck(started.pid).await;
        // A pipe's size is the system's choice.
        assert!(early <= 1 << 20, "{early}");
        let mut attached = client.attach_to(started.worker.unwrap()).await.unwrap();
        let all = attached.everything().await;
        let expected: String = (1..=400_000).map(|n| format!("{n}\n")).collect();
        assert!(
            all.stdout == expected.into_bytes(),
            "{} bytes",
            all.stdout.len()
        );
        assert!(all.exit.success());
    });
}

#[test]
fn a_worker_that_does_not_read_holds_up_who_sends() {
    const CHUNK: usize = 64 << 10;
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        client.exit_of(shell("exit 0")).await;
        let before = memory(daemon.pid());
        let mut attached = client.attach(command(&["sleep", "600"])).await;
        let input = attached.take_input();
        let mut sent = 0;
        let message = || request(Message::Stdin(vec![7; CHUNK]));
        // A call's window, the pipe and a message under way: nothing like what is offered.
        while let Ok(taken) =
            tokio::time::timeout(Duration::from_millis(500), input.send(message())).await
        {
            taken.unwrap();
            sent += CHUNK;
            assert!(sent < 16 << 20, "{sent} bytes went where nobody reads");
        }
        assert!(sent > 0);
        assert!(memory(daemon.pid()) < before + (8 << 20));
        // Other calls of the connection go on.
        assert!(client.signal(attached.id(), 15, true).await.unwrap());
        assert_eq!(attached.everything().await.exit.exitcode(), -15);
        // What was not taken is discarded, and who sends is told by the end of the call.
        eventually_async("nobody takes it", async || input.is_closed().then_some(())).await;
    });
}

#[test]
fn many_at_once_do_not_mix() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut all = Vec::new();
        for n in 0..40 {
            let script = format!("cat; seq {n} 3000");
            all.push((n, client.attach(shell(&script)).await));
        }
        for (n, attached) in &mut all {
            attached.stdin(format!("worker {n}\n").as_bytes()).await;
            attached.half_close();
        }
        for (n, attached) in &mut all {
            let output = attached.everything().await.stdout;
            let numbers: String = (*n..=3000).map(|n| format!("{n}\n")).collect();
            let expected = format!("worker {n}\n{numbers}");
            assert!(output == expected.into_bytes(), "worker {n}");
        }
    });
}

#[test]
fn the_daemons_descriptors_return_to_where_they_were() {
    check(Setup::new().without_spares(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let round = async || {
            // More than those whose pidfds are kept on purpose.
            for _ in 0..70 {
                let mut attached = client.attach(shell("cat")).await;
                attached.stdin(b"hello").await;
                attached.half_close();
                assert_eq!(attached.everything().await.stdout, b"hello");
                client.exit_of(shell("echo kept")).await;
                let mut call = super::results::call(&template, "echo", "x".repeat(100_000));
                call.name = "large result".to_owned();
                client.attach(call).await.everything().await;
                // Left behind at every stage.
                drop(client.attach(shell("echo unread")).await);
                let spec = attachable(shell("echo nobody"));
                client.start(spec, false).await.unwrap();
            }
            for _ in 0..70 {
                client.exit_of(shell("exit 0")).await;
            }
            eventually_async("none runs", async || {
                client.list_workers(false).await.is_empty().then_some(())
            })
            .await;
        };
        round().await;
        let before = process::open_descriptors(daemon.pid());
        round().await;
        eventually("mpforkd's descriptors are back", || {
            (process::open_descriptors(daemon.pid()) <= before).then_some(())
        });
        assert!(Path::new(&format!("/proc/{}", daemon.pid())).exists());
    });
}

#[test]
fn those_that_have_ended_make_room_for_those_to_come() {
    // Little more than mpforkd needs itself.
    check(Setup::new().open_files(330), async |daemon| {
        let client = daemon.connect().await;
        let mut ended = Vec::new();
        for _ in 0..40 {
            let mut attached = client.attach(shell("echo hello")).await;
            assert_eq!(attached.everything().await.stdout, b"hello\n");
            let spec = attachable(shell("echo nobody reads this"));
            let started = client.start(spec, true).await.unwrap();
            client.wait(started.worker).await.unwrap();
            ended.push(started.worker.unwrap());
        }
        let (first, last) = (ended[0], ended[ended.len() - 1]);
        refused(client.attach_to(first).await, Reason::NotAttachable);
        let all = client.attach_to(last).await.unwrap().everything().await;
        assert_eq!(all.stdout, b"nobody reads this\n");
    });
}
