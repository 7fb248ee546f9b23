//! `StartWorker`: owned and detached workers, and the state they start with.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, OnOwnerDeath, Rlimit, StartState, WorkerSpec};
use mpfork_sys::limits;
use mpfork_tests::harness::process::lives;
use mpfork_tests::harness::spec::{self, command, function, shell};
use mpfork_tests::harness::{Setup, TestClient, check, eventually_async, refused, refused_field};
use serde_json::{Value, json};
use std::fs::File;
use std::os::fd::OwnedFd;

#[test]
fn an_owned_worker_ends_with_its_connection_and_a_detached_one_does_not() {
    check(Setup::new(), async |daemon| {
        let witness = daemon.connect().await;
        let owner = daemon.connect().await;
        let sleep = |on_owner_death: OnOwnerDeath| WorkerSpec {
            on_owner_death: on_owner_death.into(),
            ..command(&["sleep", "600"])
        };
        let start = async |on_owner_death, detached| {
            let started = owner.start(sleep(on_owner_death), detached).await.unwrap();
            assert!(lives(started.pid));
            started.worker.unwrap()
        };
        let ended = start(OnOwnerDeath::End, false).await;
        let unspecified = start(OnOwnerDeath::Unspecified, false).await;
        let kept = start(OnOwnerDeath::Keep, false).await;
        let detached = start(OnOwnerDeath::End, true).await;
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(witness.get_worker(ended).await.unwrap().owner_pid, own);
        let seen = witness.get_worker(detached).await.unwrap();
        let nobody = (0, OnOwnerDeath::Unspecified);
        assert_eq!((seen.owner_pid, seen.on_owner_death()), nobody);
        drop(owner);
        for id in [ended, unspecified] {
            assert_eq!(witness.wait(Some(id)).await.unwrap().exitcode(), -15);
        }
        for id in [kept, detached] {
            eventually_async("it has no owner", async || {
                (witness.get_worker(id).await.unwrap().owner_pid == 0).then_some(())
            })
            .await;
            assert!(lives(witness.get_worker(id).await.unwrap().pid));
            assert!(witness.signal(id, 9, false).await.unwrap());
            assert_eq!(witness.wait(Some(id)).await.unwrap().exitcode(), -9);
        }
    });
}

#[test]
fn the_whole_group_of_an_owned_worker_ends_with_its_connection() {
    check(Setup::new(), async |daemon| {
        let witness = daemon.connect().await;
        let owner = daemon.connect().await;
        let spec = WorkerSpec {
            grace: spec::millis(100),
            ..shell("trap '' TERM; sleep 605 & echo $!; while :; do sleep 600; done")
        };
        let (run, line) = owner.run_until_line(spec).await;
        let (id, child) = (run.id(), line.parse().unwrap());
        drop((owner, run));
        // Deaf to TERM, so are its children: killed after the grace period.
        assert_eq!(witness.wait(Some(id)).await.unwrap().exitcode(), -9);
        eventually_async("its child is gone", async || (!lives(child)).then_some(())).await;
    });
}

#[test]
fn a_repeated_request_hands_the_worker_over_to_the_connection_it_came_on() {
    check(Setup::new(), async |daemon| {
        let first = daemon.connect().await;
        let second = daemon.connect().await;
        let spec = command(&["sleep", "600"]);
        let started = first.start(spec.clone(), false).await.unwrap();
        let again = second.start(spec, false).await.unwrap();
        assert_eq!((started.worker, started.pid), (again.worker, again.pid));
        drop(first);
        // Its owner is the second one now.
        second.list_workers(false).await;
        assert!(second.exit_of(shell("exit 0")).await.success());
        assert!(lives(started.pid));
        let id = again.worker.unwrap();
        second.signal(id, 9, false).await.unwrap();
        second.wait(Some(id)).await.unwrap();
    });
}

#[test]
fn wrong_requests_are_refused_as_those_of_run_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let request = v1::StartWorkerRequest {
            spec: None,
            detached: true,
        };
        refused_field(client.workers().start_worker(request).await, "spec");
        refused_field(
            client.start(command(&[""]), true).await,
            "spec.task.command.program",
        );
        let missing = command(&["/nowhere/at/all"]);
        refused(client.start(missing, false).await, Reason::ExecFailed);
        assert!(client.list_workers(true).await.is_empty());
    });
}

/// What the test program's function reports of the state it started with.
async fn report(client: &TestClient, spec: WorkerSpec) -> Value {
    let (output, exit) = client.output_of(spec).await;
    assert!(exit.success(), "{exit}: {output}");
    assert_eq!(exit.not_applied, Vec::<String>::new());
    serde_json::from_str(&output).unwrap()
}

#[test]
fn a_worker_starts_with_the_state_it_was_given() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client
            .test_template(&[("TEST_FAULT", "descriptor"), ("TEST_VALUE", "zygote's")])
            .await;
        let folder: OwnedFd = File::open(daemon.folder().path()).unwrap().into();
        let passed: OwnedFd = File::open("/etc/hostname").unwrap().into();
        let queued = client.queue(vec![folder, passed]).await;
        // What whoever runs the tests may do, however little that is.
        let hard = limits::get(4).unwrap().hard.min(4096);
        let core = Rlimit {
            resource: 4,
            soft: 0,
            hard,
        };
        let cpus = rustix::thread::sched_getaffinity(None).unwrap();
        let mut cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu));
        let cpu = u32::try_from(cpus.next().unwrap()).unwrap();
        let files = Rlimit {
            resource: 7,
            soft: 100,
            hard: 200,
        };
        let mut spec = function(&template, "start-state", ());
        spec.state = Some(StartState {
            cwd: Some(queued.descriptors[0]),
            cwd_path: Some(b"/etc".to_vec()),
            env: vec![
                spec::set("ADDED", "a=b"),
                v1::EnvDirective {
                    step: Some(v1::env_directive::Step::Remove(b"TEST_FAULT".to_vec())),
                },
            ],
            umask: Some(0o027),
            rlimits: vec![core, files],
            nice: Some(19),
            affinity: vec![cpu],
            blocked_signals: vec![10, 12],
            ..StartState::default()
        });
        spec::place(&mut spec, queued.descriptors[1], 77);
        let state = report(&client, spec).await;
        let path = daemon.folder().path().canonicalize().unwrap();
        assert_eq!(state["cwd"], json!(path), "an open folder wins over a path");
        assert_eq!(
            state["env"],
            json!({"ADDED": "a=b", "TEST_VALUE": "zygote's"})
        );
        assert_eq!(state["umask"], "0027");
        assert_eq!(state["limits"]["core"], json!([0, hard]));
        assert_eq!(state["limits"]["nofile"], json!([100, 200]));
        assert_eq!(state["nice"], 19);
        assert_eq!(state["affinity"], json!([cpu]));
        assert_eq!(state["blocked"], json!([10, 12]));
        assert_eq!(state["group"], state["pid"], "a group of its own");
        assert_ne!(state["session"], state["pid"]);
        // Its standard streams, what was passed, what its preloads opened, and nothing else but the
        // socket to mpforkd and the folder's listing.
        let descriptors = state["descriptors"].as_object().unwrap();
        assert_eq!(descriptors["0"], "/dev/null");
        assert_eq!(descriptors["77"], "/etc/hostname");
        let kept = client.template(&template).await.kept_descriptors;
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(kept[0].what, "/etc/passwd");
        assert_eq!(descriptors[&kept[0].number.to_string()], "/etc/passwd");
        let others = descriptors.iter().filter(|(number, what)| {
            let what = what.as_str().unwrap();
            !["0", "1", "2", "77"].contains(&number.as_str())
                && what != "/etc/passwd"
                && !what.starts_with("/proc/")
        });
        let others: Vec<_> = others.collect();
        assert!(
            others.len() == 1 && others[0].1.as_str().unwrap().starts_with("socket:"),
            "{others:?}"
        );
        // A target that collides with one of the preloads'.
        let queued = client
            .queue(vec![File::open("/etc/hostname").unwrap().into()])
            .await;
        let mut spec = function(&template, "start-state", ());
        spec::place(&mut spec, queued.descriptors[0], kept[0].number);
        refused_field(client.try_run(spec).await, "spec.state.descriptors");
    });
}

#[test]
fn what_is_absent_is_the_zygotes_own() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[("TEST_VALUE", "only")]).await;
        let state = report(&client, function(&template, "start-state", ())).await;
        assert_eq!(state["cwd"], "/");
        assert_eq!(state["env"], json!({"TEST_VALUE": "only"}));
        assert_eq!(state["blocked"], json!([]));
        assert_eq!(state["comm"], "test-program");
        assert_eq!(state["descriptors"]["0"], "/dev/null");
        let argv = state["argv"].as_array().unwrap();
        assert!(argv.len() == 1 && argv[0].as_str().unwrap().ends_with("/test-program"));
        // mpforkd's own raised limit of open files does not reach workers.
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(state["limits"]["nofile"], json!([own.current, own.maximum]));
    });
}

#[test]
fn commands_start_with_default_dispositions_but_those_they_are_to_ignore() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let ignored = async |signals: Vec<u32>| {
            let mut spec = command(&["grep", "SigIgn", "/proc/self/status"]);
            spec.state.as_mut().unwrap().ignored_signals = signals;
            let (output, _) = client.output_of(spec).await;
            let mask = output.trim().strip_prefix("SigIgn:\t").unwrap();
            // 32 and 33 are glibc's own: whatever its posix_spawn starts has them ignored.
            u64::from_str_radix(mask, 16).unwrap() & !(3 << 31)
        };
        assert_eq!(ignored(vec![]).await, 0);
        assert_eq!(ignored(vec![1, 13]).await, 0x1001);
        let mut spec = shell("ps -o sid= -p $$ | tr -d ' '; echo $$; echo $0 $1");
        spec.state.as_mut().unwrap().new_session = true;
        let (output, exit) = client.output_of(spec).await;
        let lines: Vec<&str> = output.lines().collect();
        assert!(exit.success() && lines[0] == lines[1], "{output}");
        let mut spec = command(&["sh", "-c", "echo $0"]);
        if let Some(v1::task::Task::Command(command)) = &mut spec.task.as_mut().unwrap().task {
            command.arg0 = Some(b"other".to_vec());
            command.args = vec![b"-c".to_vec(), b"tr '\\0' ' ' </proc/$$/cmdline".to_vec()];
        }
        let (output, _) = client.output_of(spec).await;
        assert!(output.starts_with("other -c "), "{output}");
    });
}

#[test]
fn an_argument_list_and_environment_as_large_as_the_system_takes_fits() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let large = "x".repeat(100_000);
        let words = ["sh", "-c", "echo $#; echo ${#LARGE_7}", "sh"];
        let words: Vec<&str> = words.into_iter().chain([large.as_str(); 8]).collect();
        let mut spec = command(&words);
        let env = &mut spec.state.as_mut().unwrap().env;
        env.extend((0..8).map(|n| spec::set(&format!("LARGE_{n}"), &large)));
        let (output, exit) = client.output_of(spec).await;
        assert!(exit.success(), "{exit}");
        assert_eq!(output, "8\n100000\n");
        // More than the system takes is the system's error.
        let words: Vec<&str> = ["true"].into_iter().chain([large.as_str(); 38]).collect();
        let refusal = refused(client.try_run(command(&words)).await, Reason::ExecFailed);
        assert_eq!(refusal.get("errno"), "7", "{refusal}");
    });
}

#[test]
fn what_can_not_be_applied_is_told() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut spec = shell("exit 0");
        spec.state.as_mut().unwrap().affinity = vec![8000];
        let exit = client.exit_of(spec).await;
        assert!(exit.success());
        assert_eq!(exit.not_applied.len(), 1, "{exit:?}");
        assert!(exit.not_applied[0].contains("8000"), "{exit:?}");
    });
}
