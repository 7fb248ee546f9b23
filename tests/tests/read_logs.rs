//! `ReadLogs`: what is kept of what nobody was given.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::logs_client::LogsClient;
use mpfork_proto::v1::read_logs_request::{Records, Source};
use mpfork_proto::v1::{ReadLogsRequest, ReadLogsResponse, WorkerId, WorkerSpec};
use mpfork_tests::harness::spec::{self, function, shell};
use mpfork_tests::harness::{
    Setup, TestClient, check, eventually_async, process, refused, refused_field,
};
use std::time::Duration;
use tonic::{Status, Streaming};

async fn read(
    client: &TestClient,
    source: Option<Source>,
    follow: bool,
) -> Result<Streaming<ReadLogsResponse>, Status> {
    let request = ReadLogsRequest { source, follow };
    let mut logs = LogsClient::new(client.channel.clone());
    Ok(logs.read_logs(request).await?.into_inner())
}

/// How much was dropped, and what was not, to the end.
async fn rest(mut chunks: Streaming<ReadLogsResponse>) -> (u64, Vec<u8>) {
    let (mut dropped, mut data) = (0, Vec::new());
    while let Some(chunk) = chunks.message().await.unwrap() {
        assert!(data.is_empty() || chunk.dropped == 0, "a gap in between");
        dropped += chunk.dropped;
        data.extend(chunk.data);
    }
    (dropped, data)
}

async fn kept(client: &TestClient, worker: WorkerId) -> (u64, Vec<u8>) {
    let source = Some(Source::Worker(worker));
    rest(read(client, source, false).await.unwrap()).await
}

async fn text(client: &TestClient, source: Source) -> String {
    let chunks = read(client, Some(source), false).await.unwrap();
    String::from_utf8(rest(chunks).await.1).unwrap()
}

#[test]
fn what_a_worker_without_streams_writes_is_kept_in_its_order() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "echo one; echo two >&2; printf '\\000\\377three'; exit 3";
        let mut run = client.run(shell(script)).await;
        assert_eq!(run.exit().await.exitcode(), 3);
        let (dropped, data) = kept(&client, run.id()).await;
        assert_eq!((dropped, data), (0, b"one\ntwo\n\0\xffthree".to_vec()));
        // Detached ones too, while they run.
        let spec = shell("echo hello; exec sleep 600");
        let started = client.start(spec, true).await.unwrap();
        let id = started.worker.unwrap();
        eventually_async("it has written", async || {
            (kept(&client, id).await.1 == b"hello\n").then_some(())
        })
        .await;
        client.signal(id, 9, true).await.unwrap();
        client.wait(Some(id)).await.unwrap();
        assert_eq!(kept(&client, id).await.1, b"hello\n");
        // And functions.
        let template = client.test_template(&[]).await;
        let mut run = client.run(function(&template, "print", ())).await;
        run.exit().await;
        assert_eq!(kept(&client, run.id()).await.1, b"no newline");
    });
}

#[test]
fn the_oldest_is_dropped_and_counted_and_the_worker_does_not_wait() {
    let setup = Setup::new().config("[limits]\nkept_output = 1000");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789abcde; i=$((i+1)); done; \
                      printf 'the end'";
        let mut run = client.run(shell(script)).await;
        assert!(run.exit().await.success());
        let (dropped, data) = kept(&client, run.id()).await;
        assert_eq!((data.len(), dropped), (1000, 20_000 * 16 + 7 - 1000));
        assert!(data.ends_with(b"0123456789abcde\nthe end"));
        assert_eq!(client.in_use("kept_output_total").await, 1000);
    });
}

#[test]
fn all_that_is_kept_is_bounded_the_ended_make_room_first() {
    let setup = Setup::new().config("[limits]\nkept_output = 1000\nkept_output_total = 2500");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            let mut run = client.run(shell("printf '%0900d' 0")).await;
            run.exit().await;
            ids.push(run.id());
        }
        assert!(client.in_use("kept_output_total").await <= 2500);
        for (id, expected) in ids.iter().zip([(900, 0), (900, 0), (0, 900), (0, 900)]) {
            let (dropped, data) = kept(&client, *id).await;
            assert_eq!((dropped, data.len()), expected);
        }
    });
}

#[test]
fn it_is_forgotten_with_the_exit() {
    let setup = Setup::new().config("[limits]\nretained_exits = 1");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let mut first = client.run(shell("echo first")).await;
        first.exit().await;
        client.run(shell("echo second")).await.exit().await;
        let source = Some(Source::Worker(first.id()));
        refused(read(&client, source, false).await, Reason::UnknownWorker);
        assert_eq!(client.in_use("kept_output_total").await, 7);
    });
}

#[test]
fn following_goes_on_to_the_workers_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let gate = daemon.gate();
        let script = format!("echo before; read x < {gate}; echo after");
        let mut run = client.run(shell(&script)).await;
        let source = Some(Source::Worker(run.id()));
        let mut followed = read(&client, source, true).await.unwrap();
        let first = followed.message().await.unwrap().unwrap();
        assert_eq!(first.data, b"before\n");
        tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(rest(followed).await, (0, b"after\n".to_vec()));
        assert!(run.exit().await.success());
    });
}

#[test]
fn one_who_follows_too_slowly_is_told_how_much_was_lost() {
    let setup = Setup::new().config("[limits]\nkept_output = 4096");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        // More than is under way in a call whose answers nobody reads.
        let script = "head -c 16777216 /dev/zero; printf end; exec sleep 600";
        let run = client.run(shell(script)).await;
        let source = Some(Source::Worker(run.id()));
        let mut followed = read(&client, source, true).await.unwrap();
        eventually_async("it has written all", async || {
            kept(&client, run.id())
                .await
                .1
                .ends_with(b"end")
                .then_some(())
        })
        .await;
        client.signal(run.id(), 9, true).await.unwrap();
        let (mut dropped, mut data, mut gaps) = (0, 0, 0);
        while let Some(chunk) = followed.message().await.unwrap() {
            dropped += chunk.dropped;
            data += chunk.data.len() as u64;
            gaps += u32::from(chunk.dropped > 0);
        }
        assert_eq!(dropped + data, (16 << 20) + 3);
        assert!(gaps > 0);
    });
}

#[test]
fn what_outlives_the_worker_writes_to_nobody() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let before = process::open_descriptors(daemon.pid());
        let gate = daemon.gate();
        let stranger = "echo $$; echo go > \"$0\"; while :; do echo more; sleep 0.01; done";
        let script = format!("setsid sh -c '{stranger}' {gate} & read x < {gate}");
        let mut run = client.run(shell(&script)).await;
        // The stranger holds the pipe, and does not hold up the end.
        assert!(run.exit().await.success());
        let (_, data) = kept(&client, run.id()).await;
        let stranger = String::from_utf8(data.clone()).unwrap();
        let stranger = stranger.lines().next().unwrap().parse().unwrap();
        // It writes into a pipe nobody reads any more, and ends by that.
        eventually_async("the stranger has ended", async || {
            (!process::lives(stranger)).then_some(())
        })
        .await;
        assert_eq!(kept(&client, run.id()).await.1, data);
        // The built-in zygote's link and output, and the pidfd that is kept; its memory is being read.
        eventually_async("its descriptors are back", async || {
            (process::open_descriptors(daemon.pid()) <= before + 4).then_some(())
        })
        .await;
    });
}

#[test]
fn nothing_is_kept_of_streams_that_were_given_or_where_nothing_is_to_be() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let (reader, writer) = std::io::pipe().unwrap();
        let mut run = client.run_into(writer.into(), shell("echo given")).await;
        run.exit().await;
        let source = Some(Source::Worker(run.id()));
        let problem = refused(read(&client, source, false).await, Reason::NotKept);
        assert_eq!(problem.get("worker"), run.id().to_string());
        assert!(problem.message.contains("go elsewhere"), "{problem}");
        drop(reader);
        refused_field(read(&client, None, false).await, "source");
        let nowhere = Some(Source::Template("nowhere".to_owned()));
        refused(read(&client, nowhere, true).await, Reason::UnknownTemplate);
    });
    let setup = Setup::new().config("[limits]\nkept_output = 0");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        let spec = shell("[ \"$(readlink /proc/self/fd/2)\" = /dev/null ]");
        let mut run = client.run(spec).await;
        assert!(run.exit().await.success());
        let source = Some(Source::Worker(run.id()));
        let problem = refused(read(&client, source, false).await, Reason::NotKept);
        let why = "limits.kept_output was 0";
        assert!(problem.message.contains(why), "{problem}");
    });
}

#[test]
fn what_preloads_print_is_kept_when_they_fail_too() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let failing = client
            .test_template(&[("TEST_FAULT", "megabytes-chain")])
            .await;
        client.warm(&failing).await.unwrap_err();
        let chunks = read(&client, Some(Source::Template(failing)), false).await;
        let (dropped, data) = rest(chunks.unwrap()).await;
        assert_eq!(data.len(), 64 << 10);
        assert!(dropped > 4_000_000, "{dropped}");
        let output = String::from_utf8(data).unwrap();
        assert!(output.contains("the end of it\n"), "{output:.200}");
        let quiet = client.test_template(&[]).await;
        client.warm(&quiet).await.unwrap();
        assert_eq!(text(&client, Source::Template(quiet.clone())).await, "");
        // One who follows a template is told when it is removed.
        let followed = read(&client, Some(Source::Template(quiet.clone())), true).await;
        client.remove(&quiet).await.unwrap();
        assert_eq!(rest(followed.unwrap()).await, (0, Vec::new()));
    });
}

#[test]
fn the_daemons_own_records_are_kept_and_followed_to_its_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let records = || Source::Records(Records {});
        let before = text(&client, records()).await;
        assert!(before.contains("serves"), "{before}");
        assert!(
            before.lines().all(|line| line.contains("mpforkd")),
            "{before}"
        );
        let mut followed = read(&client, Some(records()), true).await.unwrap();
        let mut seen = String::new();
        let spec = WorkerSpec {
            time_limit: spec::duration(Duration::from_secs(60)),
            ..shell("exit 5")
        };
        client.exit_of(spec).await;
        while !seen.contains("worker ended") {
            let chunk = followed.message().await.unwrap().unwrap();
            seen.push_str(&String::from_utf8(chunk.data).unwrap());
        }
        // It does not hold up the daemon's end.
        daemon.signal(rustix::process::Signal::TERM);
        rest(followed).await;
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}
