//! Every reason of the table of errors really occurs, with its gRPC code and its facts.
#![allow(clippy::unwrap_used)]

use mpfork_proto::problem::Problem;
use mpfork_proto::reason::{Reason, TABLE};
use mpfork_proto::v1::connection_client::ConnectionClient;
use mpfork_proto::v1::{self, Descriptor, TemplateState, WorkerId, WorkerSpec};
use mpfork_tests::harness::cgroup::PidsCgroup;
use mpfork_tests::harness::programs::test_program;
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{
    Daemon, Setup, TestClient, check, eventually, eventually_async, is_root, open_to_everybody,
    process, refused, skip_unless_root, template,
};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;
use tonic::transport::Channel;

/// One test for each reason, and the list of them.
macro_rules! reasons {
    ($($reason:ident => $test:ident;)*) => {
        const COVERED: &[Reason] = &[$(Reason::$reason),*];
        $(
            #[test]
            fn $test() {
                cases::$test();
            }
        )*
    };
}

reasons! {
    BadRequest => bad_request;
    VersionMismatch => version_mismatch;
    PermissionDenied => permission_denied;
    DescriptorMissing => descriptor_missing;
    UnknownTemplate => unknown_template;
    UnknownWorker => unknown_worker;
    PreloadFailed => preload_failed;
    PreloadTimedOut => preload_timed_out;
    ZygoteHasThreads => zygote_has_threads;
    ZygoteFailed => zygote_failed;
    ForkFailed => fork_failed;
    HookFailed => hook_failed;
    ExecFailed => exec_failed;
    StartStateFailed => start_state_failed;
    WorkerLost => worker_lost;
    LimitReached => limit_reached;
    DeadlineExceeded => deadline_exceeded;
    ShuttingDown => shutting_down;
    ProgramRefused => program_refused;
    TemplateBusy => template_busy;
}

/// Reasons that can't be made to occur from outside.
const NOT_COVERED: &[Reason] = &[
    // A bug in mpforkd, by its definition: a test that makes it occur is a bug report.
    Reason::Internal,
];

#[test]
fn every_reason_of_the_table_is_covered() {
    for row in TABLE {
        let times = COVERED.iter().chain(NOT_COVERED);
        let times = times.filter(|reason| **reason == row.reason).count();
        assert_eq!(times, 1, "{:?}", row.reason);
    }
}

/// The test program with this fault can't be warmed, for this reason; nor can workers be started.
async fn faulty(client: &TestClient, fault: &str, reason: Reason) -> Problem {
    let digest = client.test_template(&[("TEST_FAULT", fault)]).await;
    let problem = refused(client.warm(&digest).await, reason);
    assert_eq!(problem.get("template"), "test-program");
    let started = client.try_run(function(&digest, "value", ())).await;
    refused(started, reason);
    let template = client.template(&digest).await;
    assert_eq!(template.state(), TemplateState::Backoff, "{template:?}");
    assert_eq!(template.last_error, problem.message);
    assert_eq!(template.reason, problem.message);
    assert_eq!(template.zygote_pid, 0);
    problem
}

fn pid_of(template: &v1::Template) -> i32 {
    assert_eq!(template.state(), TemplateState::Warm, "{template:?}");
    template.zygote_pid
}

/// A connection that a process of another user made, and this one uses.
async fn as_another_user(program: &std::path::Path, daemon: &Daemon) -> ConnectionClient<Channel> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let status = Command::new(program)
        .arg("connect")
        .arg(daemon.socket())
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .uid(65534)
        .gid(65534)
        .status();
    assert!(status.unwrap().success());
    let mut received = Vec::new();
    mpfork_sys::fdpass::receive(ours.as_fd(), &mut [0], &mut received).unwrap();
    let socket = UnixStream::from(received.pop().unwrap());
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UnixStream::from_std(socket).unwrap();
    let (channel, _) = mpfork_transport::channel_over(socket).await.unwrap();
    ConnectionClient::new(channel)
}

mod cases {
    use super::*;

    pub(super) fn bad_request() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let spec = WorkerSpec {
                request_id: Vec::new(),
                ..shell("exit 0")
            };
            let problem = refused(client.try_run(spec).await, Reason::BadRequest);
            assert_eq!(problem.get("field"), "spec.request_id");
            assert!(problem.get("detail").contains("1 to 64"), "{problem}");
        });
    }

    pub(super) fn version_mismatch() {
        check(Setup::new(), async |daemon| {
            // Of the API.
            let (channel, _) = mpfork_transport::connect(daemon.socket()).await.unwrap();
            let request = v1::HandshakeRequest {
                version_min: 98,
                version_max: 99,
                client: "of another time".to_owned(),
                descriptor_credit: 0,
            };
            let answer = ConnectionClient::new(channel).handshake(request).await;
            let problem = refused(answer, Reason::VersionMismatch);
            assert!(problem.get("client").contains("of another time"));
            assert!(problem.get("daemon").contains("mpforkd"));
            // Of the link.
            let client = daemon.connect().await;
            let digest = client.test_template(&[("TEST_FAULT", "other-version")]).await;
            let problem = refused(client.warm(&digest).await, Reason::VersionMismatch);
            assert_eq!(problem.get("client"), "test-program of another time");
            let started = client.try_run(function(&digest, "value", ())).await;
            refused(started, Reason::VersionMismatch);
        });
    }

    pub(super) fn permission_denied() {
        if skip_unless_root("become another user") {
            return;
        }
        check(Setup::new(), async |daemon| {
            open_to_everybody(daemon);
            let program = daemon.path("client");
            std::fs::copy(test_program(), &program).unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
            let output = Command::new(&program)
                .arg("status")
                .arg(daemon.socket())
                .uid(65534)
                .gid(65534)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("refused Some(PermissionDenied)"), "{text}");
            assert!(text.contains("65534"), "{text}");
            assert!(!output.status.success());
            // On the wire, with its code and its facts: a process of the other user holds a
            // connection for this test.
            let mut relayed = as_another_user(&program, daemon).await;
            let status = relayed.handshake(v1::HandshakeRequest::default()).await;
            let problem = refused(status, Reason::PermissionDenied);
            assert!(problem.get("detail").contains("65534"), "{problem}");
            // The daemon's own user is served all the same.
            let client = daemon.connect().await;
            assert!(client.exit_of(shell("exit 0")).await.success());
        });
    }

    pub(super) fn descriptor_missing() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let connection = client.connection.id();
            let placed = |connection, number| {
                let mut spec = shell("exit 0");
                spec::place(&mut spec, Descriptor { connection, number }, 5);
                spec
            };
            let missing = async |spec| {
                refused(client.try_run(spec).await, Reason::DescriptorMissing)
            };
            // Never sent; the handshake's own; another connection's; none at all.
            let problem = missing(placed(connection, 777)).await;
            assert_eq!(problem.get("number"), "777");
            missing(placed(connection, 0)).await;
            let other = daemon.connect().await;
            let queued = other.queue(vec![std::io::pipe().unwrap().0.into()]).await;
            let foreign = queued.descriptors[0];
            missing(placed(foreign.connection, foreign.number)).await;
            missing(placed(0, 0)).await;
            // A second time.
            let queued = client.queue(vec![std::io::pipe().unwrap().0.into()]).await;
            let spec = placed(connection, queued.descriptors[0].number);
            assert!(client.exit_of(spec.clone()).await.success());
            let spec = WorkerSpec {
                request_id: spec::request_id(),
                ..spec
            };
            missing(spec).await;
            // What the other connection has sent is still its own.
            let mut spec = shell("exit 0");
            spec::place(&mut spec, foreign, 5);
            assert!(other.exit_of(spec).await.success());
        });
    }

    pub(super) fn unknown_template() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            for name in ["nobody", &"0".repeat(64), "abcdef", &"é".repeat(1000)] {
                let mut spec = shell("exit 0");
                name.clone_into(&mut spec.template);
                let problem = refused(client.try_run(spec).await, Reason::UnknownTemplate);
                assert!(name.starts_with(problem.get("template")), "{problem}");
                refused(client.warm(name).await, Reason::UnknownTemplate);
                refused(client.reload(name).await, Reason::UnknownTemplate);
                refused(client.remove(name).await, Reason::UnknownTemplate);
            }
        });
    }

    pub(super) fn unknown_worker() {
        let setup = Setup::new().config("[limits]\nretained_exits = 1");
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let mut first = client.run(shell("exit 0")).await;
            first.exit().await;
            client.exit_of(shell("exit 0")).await;
            let other_instance = WorkerId {
                instance: first.id().instance ^ 1,
                ..first.id()
            };
            let never = WorkerId {
                counter: 1 << 40,
                ..first.id()
            };
            // Forgotten, of another run, never there.
            for id in [first.id(), other_instance, never] {
                let problem = refused(client.get_worker(id).await, Reason::UnknownWorker);
                assert_eq!(problem.get("worker"), id.to_string());
                refused(client.wait(Some(id)).await, Reason::UnknownWorker);
                refused(client.signal(id, 0, false).await, Reason::UnknownWorker);
            }
        });
    }

    pub(super) fn preload_failed() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let problem = faulty(&client, "chain", Reason::PreloadFailed).await;
            assert_eq!(problem.get("preload"), "faulty");
            assert!(problem.get("message").contains("the list can't be read"));
            assert!(problem.get("trace").contains("invalid digit"), "{problem:?}");
            let problem = faulty(&client, "panic", Reason::PreloadFailed).await;
            assert!(problem.get("message").contains("no way"), "{problem:?}");
            assert!(problem.get("trace").contains("preloads.rs:"), "{problem:?}");
        });
    }

    pub(super) fn preload_timed_out() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let problem = faulty(&client, "hang", Reason::PreloadTimedOut).await;
            assert_eq!(problem.get("preload"), "hanging");
            assert_eq!(problem.get("limit"), "300ms");
        });
        // The configuration's limit holds where the preload declares none.
        let setup = Setup::new().config("[timeouts]\npreload = \"200ms\"");
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let gate = daemon.path("gate");
            nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let digest = client
                .test_template(&[
                    ("TEST_FAULT", "gate-waits"),
                    ("TEST_GATE", gate.to_str().unwrap()),
                ])
                .await;
            let problem = refused(client.warm(&digest).await, Reason::PreloadTimedOut);
            assert_eq!(problem.get("preload"), "faulty");
            assert_eq!(problem.get("limit"), "200ms");
        });
    }

    pub(super) fn zygote_has_threads() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let problem = faulty(&client, "thread", Reason::ZygoteHasThreads).await;
            assert_eq!(problem.get("threads"), "left-over");
            assert_eq!(problem.get("preload"), "faulty");
            // Before it could become a zygote.
            let problem = faulty(&client, "early-thread", Reason::ZygoteHasThreads).await;
            assert_eq!(problem.get("threads"), "early");
            // Later, when it is to fork.
            let digest = client.test_template(&[("TEST_FAULT", "late-thread")]).await;
            let started = client.try_run(function(&digest, "value", ())).await;
            let problem = refused(started, Reason::ZygoteHasThreads);
            assert_eq!(problem.get("threads"), "late");
            assert_eq!(client.status().await.workers.unwrap().running, 0);
        });
    }

    pub(super) fn zygote_failed() {
        let setup = Setup::new().config("[timeouts]\nhello = \"400ms\"");
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let problem = faulty(&client, "early-exit", Reason::ZygoteFailed).await;
            assert!(problem.get("message").contains("exit code 3"), "{problem:?}");
            assert_eq!(problem.get("output"), "leaving early");
            let problem = faulty(&client, "abort", Reason::ZygoteFailed).await;
            assert!(problem.get("message").contains("signal 6"), "{problem:?}");
            let problem = faulty(&client, "exit", Reason::ZygoteFailed).await;
            assert!(problem.get("message").contains("exit code 5"), "{problem:?}");
            let problem = faulty(&client, "silent", Reason::ZygoteFailed).await;
            assert!(problem.get("message").contains("400ms"), "{problem:?}");
            // A program that knows nothing of mpfork.
            let program = std::path::Path::new("/bin/true");
            let digest = client.register(program, &[]).await;
            refused(client.warm(&digest).await, Reason::ZygoteFailed);
            // One that dies whenever it is to fork.
            let digest = client.test_template(&[("TEST_FAULT", "die-before-fork")]).await;
            let started = client.try_run(function(&digest, "value", ())).await;
            let problem = refused(started, Reason::ZygoteFailed);
            assert!(!problem.get("message").is_empty());
        });
    }

    pub(super) fn fork_failed() {
        let setup = Setup::new().config("[timeouts]\nfork = \"300ms\"");
        check(setup, async |daemon| {
            let client = daemon.connect().await;
            let cgroup = if is_root() { PidsCgroup::full() } else { None };
            let mut spec = template(&test_program(), &[]);
            if !is_root() {
                let limit = v1::Rlimit {
                    resource: mpfork_sys::limits::NPROC,
                    soft: 1,
                    hard: 1,
                };
                spec.rlimits = vec![limit];
            }
            let registered = client.try_register(&test_program(), spec).await.unwrap();
            let digest = registered.digest;
            client.warm(&digest).await.unwrap();
            let zygote = pid_of(&client.template(&digest).await);
            if let Some(cgroup) = &cgroup {
                cgroup.add(zygote);
            }
            if cgroup.is_some() || !is_root() {
                for _ in 0..3 {
                    let started = client.try_run(function(&digest, "value", ())).await;
                    let problem = refused(started, Reason::ForkFailed);
                    assert_eq!(problem.get("errno"), "11", "{problem:?}");
                    assert_eq!(problem.get("template"), "test-program");
                }
                // The zygote lives on, and nothing is half started.
                assert_eq!(pid_of(&client.template(&digest).await), zygote);
                assert!(process::children(zygote).is_empty());
            } else {
                eprintln!("skipped: no pids cgroup");
            }
            if let Some(cgroup) = &cgroup {
                cgroup.lift();
                assert!(client.exit_of(function(&digest, "value", ())).await.success());
            }
            // A zygote that does not answer.
            client.warm("command").await.unwrap();
            let zygote = pid_of(&client.template("command").await);
            process::stop(zygote);
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::ForkFailed);
            assert!(problem.get("message").contains("no answer"), "{problem:?}");
            process::resume(zygote);
            assert!(client.exit_of(shell("exit 0")).await.success());
            // The worker that was given up may have come to be; it ends before it begins.
            eventually("it is gone", || process::children(zygote).is_empty().then_some(()));
            assert_eq!(client.status().await.workers.unwrap().running, 0);
        });
    }

    pub(super) fn hook_failed() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            for (fault, message) in [("before-fork", "not now"), ("before-fork-panic", "never")] {
                let digest = client.test_template(&[("TEST_FAULT", fault)]).await;
                let started = client.try_run(function(&digest, "value", ())).await;
                let problem = refused(started, Reason::HookFailed);
                assert_eq!(problem.get("hook"), "check");
                assert!(problem.get("message").contains(message), "{problem:?}");
                let template = client.template(&digest).await;
                assert_eq!(template.state(), TemplateState::Warm);
                assert_eq!((template.workers_failed, template.workers_started), (1, 0));
            }
        });
    }

    pub(super) fn exec_failed() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let script = daemon.path("script");
            std::fs::write(&script, "#!/nowhere/interpreter\n").unwrap();
            std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
            let plain = daemon.path("plain");
            std::fs::write(&plain, "x").unwrap();
            for (program, errno) in [
                ("/nowhere/at/all", "2"),
                ("nowhere-in-path", "2"),
                (plain.to_str().unwrap(), "13"),
                (script.to_str().unwrap(), "2"),
            ] {
                let started = client.try_run(command(&[program, "x"])).await;
                let problem = refused(started, Reason::ExecFailed);
                assert_eq!(problem.get("errno"), errno, "{problem:?}");
                assert!(problem.get("program").contains(program), "{problem:?}");
            }
            let totals = client.status().await.workers.unwrap();
            assert_eq!((totals.started, totals.failed), (0, 4));
            assert!(client.list_workers(true).await.is_empty());
        });
    }

    pub(super) fn start_state_failed() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let mut spec = shell("exit 0");
            spec.state.as_mut().unwrap().cwd_path = Some(b"/nowhere/at/all".to_vec());
            let problem = refused(client.try_run(spec).await, Reason::StartStateFailed);
            assert_eq!(problem.get("what"), "working directory");
            assert_eq!(problem.get("errno"), "2");
            // A terminal that is none.
            let mut spec = shell("exit 0");
            let state = spec.state.as_mut().unwrap();
            (state.new_session, state.controlling_terminal) = (true, true);
            let problem = refused(client.try_run(spec).await, Reason::StartStateFailed);
            assert_eq!(problem.get("what"), "controlling terminal");
            assert_eq!(client.status().await.workers.unwrap().failed, 2);
        });
    }

    pub(super) fn worker_lost() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            client.warm("command").await.unwrap();
            let zygote = pid_of(&client.template("command").await);
            // The assignment is larger than a socket holds, so the worker waits for mpforkd in the
            // middle of it; and mpforkd is stopped. There the worker dies.
            process::stop(zygote);
            let mut spec = shell("exit 0");
            let state = spec.state.as_mut().unwrap();
            state.env.push(spec::set("LARGE", &"x".repeat(100_000)));
            let more = (0..25).map(|n| spec::set(&format!("LARGE_{n}"), &"x".repeat(100_000)));
            state.env.extend(more);
            let other = daemon.connect().await;
            let start = other.try_run(spec);
            let die = async {
                eventually_async("the start is under way", async || {
                    let status = client.status().await;
                    let workers = status.limits.iter().find(|limit| limit.name == "workers");
                    (workers.unwrap().used == Some(1)).then_some(())
                })
                .await;
                process::stop(daemon.pid());
                process::resume(zygote);
                let worker = eventually("the worker is forked", || {
                    process::children(zygote).pop().map(|worker| worker.pid)
                });
                process::kill(worker);
                process::resume(daemon.pid());
            };
            let (started, ()) = tokio::join!(start, die);
            let problem = refused(started, Reason::WorkerLost);
            assert!(!problem.get("worker").is_empty());
            assert!(client.list_workers(true).await.is_empty());
            let totals = client.status().await.workers.unwrap();
            assert_eq!((totals.running, totals.started, totals.failed), (0, 0, 1));
        });
    }

    pub(super) fn limit_reached() {
        let limited = |config: &str| Setup::new().config("[limits]").config(config);
        let reached = |problem: &Problem, limit: &str, value: &str| {
            assert_eq!(problem.get("limit"), limit, "{problem:?}");
            assert_eq!(problem.get("value"), value, "{problem:?}");
        };
        check(limited("workers = 2"), async |daemon| {
            let client = daemon.connect().await;
            let mut one = client.run(command(&["sleep", "600"])).await;
            let mut two = client.run(command(&["sleep", "600"])).await;
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
            reached(&problem, "limits.workers", "2");
            client.signal(one.id(), 15, false).await.unwrap();
            one.exit().await;
            assert!(client.exit_of(shell("exit 0")).await.success());
            client.signal(two.id(), 15, false).await.unwrap();
            two.exit().await;
        });
        check(limited("workers_per_template = 1"), async |daemon| {
            let client = daemon.connect().await;
            let _one = client.run(command(&["sleep", "600"])).await;
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::LimitReached);
            reached(&problem, "limits.workers_per_template", "1");
            let digest = client.test_template(&[]).await;
            assert!(client.exit_of(function(&digest, "value", ())).await.success());
        });
        check(limited("templates = 2"), async |daemon| {
            let client = daemon.connect().await;
            let digest = client.test_template(&[("TEST_VALUE", "1")]).await;
            // One that is cold makes room; one that is warm does not.
            let digest_2 = client.test_template(&[("TEST_VALUE", "2")]).await;
            refused(client.warm(&digest).await, Reason::UnknownTemplate);
            client.warm(&digest_2).await.unwrap();
            let program = test_program();
            let spec = template(&program, &[("TEST_VALUE", "3")]);
            let refusal = client.try_register(&program, spec).await;
            reached(&refused(refusal, Reason::LimitReached), "limits.templates", "2");
        });
        check(limited("connections = 2"), async |daemon| {
            let _one = daemon.connect().await;
            let two = daemon.connect().await;
            let three = TestClient::try_connect(daemon.socket()).await;
            reached(&refused(three, Reason::LimitReached), "limits.connections", "2");
            drop(two);
            eventually_async("there is room", async || {
                TestClient::try_connect(daemon.socket()).await.ok()
            })
            .await;
        });
        check(limited("waiting_starts = 1"), async |daemon| {
            let client = daemon.connect().await;
            let gate = daemon.path("gate");
            nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let digest = client
                .test_template(&[
                    ("TEST_FAULT", "gate-waits"),
                    ("TEST_GATE", gate.to_str().unwrap()),
                ])
                .await;
            let first = client.exit_of(function(&digest, "value", ()));
            let second = async {
                eventually_async("one waits", async || {
                    let status = client.status().await;
                    let waiting = status.limits.iter().find(|l| l.name == "waiting_starts");
                    (waiting.unwrap().used == Some(1)).then_some(())
                })
                .await;
                let second = client.try_run(function(&digest, "value", ())).await;
                reached(&refused(second, Reason::LimitReached), "limits.waiting_starts", "1");
                std::fs::write(&gate, "").unwrap();
            };
            let (exit, ()) = tokio::join!(first, second);
            assert!(exit.success());
        });
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let placed = |target| v1::PlacedDescriptor {
                descriptor: Some(Descriptor::default()),
                target,
            };
            // Refused by their number, before any is looked for, or for the first that is missing.
            let mut spec = shell("exit 0");
            spec.state.as_mut().unwrap().descriptors = (10..300).map(placed).collect();
            let status = client.try_run(spec).await.unwrap_err();
            let problem = Problem::from_status(&status).unwrap();
            let expected = [Reason::LimitReached, Reason::DescriptorMissing];
            assert!(expected.contains(&problem.reason), "{problem:?}");
        });
    }

    pub(super) fn deadline_exceeded() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let mut run = client.run(command(&["sleep", "600"])).await;
            let mut request = tonic::Request::new(v1::WaitWorkerRequest {
                worker: Some(run.id()),
                timeout: None,
            });
            request.set_timeout(Duration::from_secs(1));
            let answer = client.workers().wait_worker(request).await;
            let problem = refused(answer, Reason::DeadlineExceeded);
            assert_eq!(problem.get("what"), "wait_worker");
            client.signal(run.id(), 9, false).await.unwrap();
            assert_eq!(run.exit().await.exitcode(), -9);
        });
    }

    pub(super) fn shutting_down() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let digest = client.test_template(&[]).await;
            let deaf = shell("trap '' TERM; echo ready; while :; do sleep 600; done");
            let (mut run, _) = client.run_until_line(deaf).await;
            let request = v1::ShutdownRequest {
                grace: spec::duration(Duration::from_secs(600)),
            };
            client.admin().shutdown(request).await.unwrap();
            let problem = refused(client.try_run(shell("exit 0")).await, Reason::ShuttingDown);
            assert!(problem.metadata.is_empty());
            refused(client.warm(&digest).await, Reason::ShuttingDown);
            refused(client.reload(&digest).await, Reason::ShuttingDown);
            let program = test_program();
            let spec = template(&program, &[("TEST_VALUE", "other")]);
            let registered = client.try_register(&program, spec).await;
            refused(registered, Reason::ShuttingDown);
            // What runs can still be looked at and signalled.
            assert!(client.status().await.shutting_down);
            assert_eq!(client.list_workers(false).await.len(), 1);
            client.signal(run.id(), 9, true).await.unwrap();
            assert_eq!(run.exit().await.exitcode(), -9);
            drop(run);
            assert_eq!(daemon.gone().await.how, "code 0");
        });
    }

    pub(super) fn program_refused() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let elf = std::fs::read("/bin/true").unwrap();
            let file = |name: &str, content: &[u8], mode: u32| {
                let path = daemon.path(name);
                std::fs::write(&path, content).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
                path
            };
            for (path, detail) in [
                (file("script", b"#!/bin/sh\n", 0o755), "no ELF"),
                (file("cut", &elf[..200], 0o755), "no ELF"),
                (file("plain", &elf, 0o644), "not executable"),
                (file("set-uid", &elf, 0o4755), "set-user-id"),
                (daemon.folder().path().to_owned(), "no regular file"),
                ("/dev/null".into(), "no regular file"),
            ] {
                let registered = client.try_register(&path, template(&path, &[])).await;
                let problem = refused(registered, Reason::ProgramRefused);
                assert_eq!(problem.get("program"), path.to_str().unwrap());
                assert!(problem.get("detail").contains(detail), "{problem:?}");
            }
        });
    }

    pub(super) fn template_busy() {
        check(Setup::new(), async |daemon| {
            let client = daemon.connect().await;
            let problem = refused(client.remove("command").await, Reason::TemplateBusy);
            assert_eq!(problem.get("template"), "command");
            let gate = daemon.path("gate");
            nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let digest = client
                .test_template(&[
                    ("TEST_FAULT", "gate-waits"),
                    ("TEST_GATE", gate.to_str().unwrap()),
                ])
                .await;
            let warm = client.warm(&digest);
            let reload = async {
                eventually_async("it is being warmed", async || {
                    let state = client.template(&digest).await.state();
                    (state == TemplateState::Warming).then_some(())
                })
                .await;
                let problem = refused(client.reload(&digest).await, Reason::TemplateBusy);
                assert!(!problem.get("detail").is_empty());
                std::fs::write(&gate, "").unwrap();
            };
            let (warm, ()) = tokio::join!(warm, reload);
            warm.unwrap();
        });
    }
}
