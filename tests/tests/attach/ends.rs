//! Who ends what.

use super::attachable;
use mpfork_proto::v1::attach_request::{Message, Start};
use mpfork_tests::harness::process::{lives, see};
use mpfork_tests::harness::spec::shell;
use mpfork_tests::harness::{Setup, check, eventually_async};

/// One that left the worker's group, and holds its streams. It tells its pid.
const STRANGER: &str = "setsid sh -c 'echo $$; echo go > \"$0\"; exec sleep 600' \"$0\"";

#[test]
fn a_grandchild_that_holds_the_streams_does_not_hold_the_call() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = format!("{STRANGER} & read x < \"$0\"; printf %060000d 1; exit 5");
        let mut spec = shell(&script);
        let gate = daemon.gate();
        push_arg(&mut spec, &gate);
        let mut attached = client.attach(spec).await;
        let all = attached.everything().await;
        assert_eq!(all.exit.exitcode(), 5);
        let output = String::from_utf8(all.stdout).unwrap();
        let (pid, rest) = output.split_once('\n').unwrap();
        // All that the worker wrote has come, though the stream has not ended.
        assert_eq!(rest.len(), 60_000);
        let pid = pid.parse().unwrap();
        assert!(lives(pid), "the test shows nothing without it");
        mpfork_tests::harness::process::kill(pid);
    });
}

#[test]
fn one_that_goes_on_writing_does_not_hold_it_either() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "setsid sh -c 'echo $$; echo go > \"$0\"; exec yes' \"$0\" & read x < \"$0\"";
        let mut spec = shell(script);
        let gate = daemon.gate();
        push_arg(&mut spec, &gate);
        let all = client.attach(spec).await.everything().await;
        assert!(all.exit.success());
        let output = String::from_utf8(all.stdout).unwrap();
        let pid = output.lines().next().unwrap().parse().unwrap();
        // Nobody reads it any more: it ends by that.
        eventually_async("it has ended", async || (!lives(pid)).then_some(())).await;
    });
}

#[test]
fn an_owned_worker_ends_with_its_connection_and_a_detached_one_goes_on() {
    check(Setup::new(), async |daemon| {
        let witness = daemon.connect().await;
        let client = daemon.connect().await;
        let script = "echo ready; cat >/dev/null; echo 'input ended'; exec sleep 600";
        let start = async |detached| {
            let spec = Some(shell(script));
            let start = Message::Start(Start { spec, detached });
            let mut attached = client.try_attach(start).await.unwrap();
            assert_eq!(attached.stdout(6).await, b"ready\n");
            attached
        };
        let (owned, detached) = (start(false).await, start(true).await);
        let (owned_id, detached_id) = (owned.id(), detached.id());
        // In the middle of it, without a word.
        drop((client, owned, detached));
        let exit = witness.wait(Some(owned_id)).await.unwrap();
        assert_eq!(exit.exitcode(), -15);
        let mut again = eventually_async("nobody is attached", async || {
            witness.attach_to(detached_id).await.ok()
        })
        .await;
        assert_eq!(again.stdout(12).await, b"input ended\n");
        witness.signal(detached_id, 9, true).await.unwrap();
        assert_eq!(again.everything().await.exit.exitcode(), -9);
    });
}

#[test]
fn a_call_that_is_given_up_ends_the_input_and_leaves_the_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "cat >/dev/null; echo 'input ended'; exec sleep 600";
        let attached = client.attach(shell(script)).await;
        let id = attached.id();
        drop(attached);
        eventually_async("its input has ended", async || {
            let worker = client.get_worker(id).await.unwrap();
            let seen = see(worker.pid);
            seen.is_some_and(|seen| seen.comm == "sleep").then_some(())
        })
        .await;
        client.signal(id, 9, true).await.unwrap();
        assert_eq!(client.wait(Some(id)).await.unwrap().exitcode(), -9);
    });
}

#[test]
fn the_exit_comes_when_mpforkd_is_told_to_end() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        let mut attached = client.attach(shell(script)).await;
        assert_eq!(attached.stdout(6).await, b"ready\n");
        daemon.signal(rustix::process::Signal::TERM);
        let all = attached.everything().await;
        assert_eq!((all.stdout, all.exit.exitcode()), (b"asked\n".to_vec(), 3));
        assert_eq!(daemon.gone().await.how, "code 0");
    });
}

#[test]
fn a_worker_nobody_attaches_to_ends_as_others_do() {
    check(Setup::new(), async |daemon| {
        let witness = daemon.connect().await;
        let client = daemon.connect().await;
        let spec = attachable(shell("cat"));
        let started = client.start(spec, false).await.unwrap();
        drop(client);
        let exit = witness.wait(started.worker).await.unwrap();
        assert_eq!(exit.exitcode(), -15);
    });
}

fn push_arg(spec: &mut mpfork_proto::v1::WorkerSpec, arg: &str) {
    use mpfork_proto::v1::task::Task;
    let task = spec.task.as_mut().and_then(|task| task.task.as_mut());
    if let Some(Task::Command(command)) = task {
        command.args.push(arg.into());
    }
}
