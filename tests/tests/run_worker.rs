//! `RunWorker`: how workers start, run and end, as their owner is told.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_proto::v1::{self, Exit, Signaled, StartWay, WorkerSpec, exit, failure};
use mpfork_tests::harness::process::{self, lives};
use mpfork_tests::harness::spec::{self, command, function, millis, shell};
use mpfork_tests::harness::{Setup, check, eventually, refused, refused_field};
use std::time::Duration;

fn signaled(signal: i32, core_dumped: bool) -> Option<exit::How> {
    Some(exit::How::Signaled(Signaled {
        signal,
        core_dumped,
    }))
}

fn run_time(exit: &Exit) -> Duration {
    Duration::try_from(exit.run_time.unwrap()).unwrap()
}

#[test]
fn exit_codes_arrive_as_they_are() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for code in [0, 1, 2, 42, 127, 128, 200, 255] {
            let exit = client.exit_of(shell(&format!("exit {code}"))).await;
            assert_eq!(exit.how, Some(exit::How::Code(code)));
            assert_eq!(exit.success(), code == 0);
            assert_eq!((exit.failure, exit.leftovers.len()), (None, 0));
        }
    });
}

#[test]
fn signals_arrive_with_whether_a_core_was_dumped() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for signal in [9, 15, 10, 14, 34] {
            let exit = client.exit_of(shell(&format!("kill -{signal} $$"))).await;
            assert_eq!(exit.how, signaled(signal, false), "{exit}");
        }
        // A core is dumped, if at all, where the limit allows one; the flag is the kernel's.
        let mut spec = shell("cd /; kill -ABRT $$");
        spec.state.as_mut().unwrap().rlimits = vec![v1::Rlimit {
            resource: 4,
            soft: 0,
            hard: 0,
        }];
        assert_eq!(client.exit_of(spec).await.how, signaled(6, false));
    });
}

#[test]
fn a_dumped_core_is_told() {
    // Where cores go to a program, the kernel says "dumped" or not as that pleases.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.contains('/') || pattern.starts_with('|') || pattern.trim().is_empty() {
        eprintln!("skipped: cores do not go to the working directory but to {pattern:?}");
        return;
    }
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let folder = daemon.folder().path().to_str().unwrap();
        let mut spec = shell("ulimit -c unlimited || exit 7; kill -SEGV $$");
        spec.state.as_mut().unwrap().cwd_path = Some(folder.into());
        let exit = client.exit_of(spec).await;
        if exit.how == Some(exit::How::Code(7)) {
            eprintln!("skipped: the hard limit forbids cores");
            return;
        }
        assert_eq!(exit.how, signaled(11, true));
    });
}

#[test]
fn started_tells_the_worker_its_pid_and_a_pidfd_that_is_the_workers() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let (mut run, line) = client
            .run_until_line(shell("echo $$; exec sleep 600"))
            .await;
        assert_eq!(line, run.pid().to_string());
        assert_eq!(run.started.way, i32::from(StartWay::Fork));
        assert_eq!(run.id().instance, client.handshake.instance);
        let seen = eventually("it has become another program", || {
            process::see(run.pid()).filter(|seen| seen.comm == "sleep")
        });
        assert_eq!(seen.group, run.pid());
        let pidfd = run.pidfd.take().unwrap();
        mpfork_sys::pidfd::signal(std::os::fd::AsFd::as_fd(&pidfd), 10).unwrap();
        assert_eq!(run.exit().await.how, signaled(10, false));
    });
}

#[test]
fn usage_and_times_are_sane() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let exit = client.exit_of(shell(busy)).await;
        assert!(exit.success(), "{exit}");
        let usage = exit.rusage.unwrap();
        let cpu = Duration::try_from(usage.user.unwrap()).unwrap()
            + Duration::try_from(usage.system.unwrap()).unwrap();
        assert!(cpu >= Duration::from_millis(5), "{cpu:?}");
        assert!(cpu <= run_time(&exit) + Duration::from_millis(50));
        assert!(usage.max_rss_bytes > 100_000, "{usage:?}");
        assert!(usage.minor_faults > 10, "{usage:?}");
    });
}

#[test]
fn a_time_limit_ends_with_term_and_says_so() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let limited = |limit, script: &str| WorkerSpec {
            time_limit: millis(limit),
            grace: spec::duration(Duration::from_secs(60)),
            ..shell(script)
        };
        let timed_out = |exit: &Exit, limit| match &exit.how {
            Some(exit::How::TimedOut(timed_out)) => {
                assert_eq!(timed_out.limit, millis(limit));
                assert!(run_time(exit) >= Duration::from_millis(limit));
                timed_out.how
            }
            other => panic!("{other:?}"),
        };
        // Honoured: by the signal's default action, and by a code of the program's own.
        let exit = client.exit_of(limited(150, "exec sleep 600")).await;
        let term = Signaled {
            signal: 15,
            core_dumped: false,
        };
        let signaled = Some(exit::timed_out::How::Signaled(term));
        assert_eq!(timed_out(&exit, 150), signaled);
        assert_eq!(exit.exitcode(), -15);
        // Long enough for the shell to have set its trap by then.
        let script = "trap 'exit 3' TERM; sleep 600 & wait";
        let exit = client.exit_of(limited(1500, script)).await;
        let code = Some(exit::timed_out::How::Code(3));
        assert_eq!(timed_out(&exit, 1500), code);
        // A stopped worker gets it too.
        let exit = client.exit_of(limited(150, "kill -STOP $$")).await;
        assert_eq!(timed_out(&exit, 150), signaled);
        // In time.
        let exit = client.exit_of(WorkerSpec {
            time_limit: spec::duration(Duration::from_secs(60)),
            ..shell("exit 4")
        });
        assert_eq!(exit.await.how, Some(exit::How::Code(4)));
    });
}

/// A time limit holds from the fork on: however early it passes, that is what is told.
#[test]
fn a_time_limit_that_passes_before_the_command_is_executed_is_told_as_such() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for micros in 0..300 {
            let exit = client.exit_of(WorkerSpec {
                time_limit: spec::duration(Duration::from_nanos(1 + 3000 * micros)),
                ..command(&["sleep", "600"])
            });
            let how = exit.await.how;
            assert!(matches!(how, Some(exit::How::TimedOut(_))), "{how:?}");
        }
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.started, totals.failed), (300, 0));
    });
}

#[test]
fn after_the_grace_period_a_deaf_worker_is_killed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let mut spec = WorkerSpec {
            time_limit: millis(200),
            grace: millis(200),
            ..command(&["sleep", "600"])
        };
        // Deaf from its first instant.
        spec.state.as_mut().unwrap().ignored_signals = vec![15];
        let exit = client.exit_of(spec).await;
        let Some(exit::How::TimedOut(timed_out)) = &exit.how else {
            panic!("{exit:?}");
        };
        assert_eq!(
            timed_out.how,
            Some(exit::timed_out::How::Signaled(Signaled {
                signal: 9,
                core_dumped: false
            }))
        );
        assert!(run_time(&exit) >= Duration::from_millis(400));
    });
}

#[test]
fn what_is_left_of_a_workers_group_is_told_and_killed() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let spec =
            shell("sleep 601 >/dev/null 2>&1 & sleep 602 >/dev/null 2>&1 & echo $! ; exit 5");
        let (mut run, line) = client.run_until_line(spec).await;
        let exit = run.exit().await;
        assert_eq!(exit.how, Some(exit::How::Code(5)));
        let last: i32 = line.parse().unwrap();
        assert_eq!(exit.leftovers.len(), 2, "{exit:?}");
        assert!(exit.leftovers.iter().any(|left| left.pid == last));
        for left in &exit.leftovers {
            // One that has not executed its program yet is still called by the shell's name.
            assert!(["sleep", "sh"].contains(&left.comm.as_str()), "{left:?}");
            eventually("it is gone", || (!lives(left.pid)).then_some(()));
        }
        // One that leaves the group is not the worker's any more, and ends with nobody's help.
        let (mut run, line) = client
            .run_until_line(shell("setsid sh -c 'echo $$; read x' <&0 & wait $!"))
            .await;
        assert_eq!(run.exit().await.leftovers, Vec::new());
        assert!(!lives(line.parse().unwrap()));
    });
}

#[test]
fn functions_panic_fail_and_end_in_every_way() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let call = async |name: &str, argument: i32| {
            client.output_of(function(&template, name, argument)).await
        };
        let (output, exit) = call("exit", 7).await;
        assert_eq!(
            (output.as_str(), exit.how),
            ("before exit", Some(exit::How::Code(7)))
        );
        let (_, exit) = call("code", 99).await;
        assert_eq!(exit.how, Some(exit::How::Code(99)));
        let (_, exit) = call("raise", 12).await;
        assert_eq!(exit.how, signaled(12, false));
        let (_, exit) = call("abort", 0).await;
        assert_eq!(exit.failure.unwrap().kind(), failure::Kind::Argument);
        let (output, exit) = client
            .output_of(function(&template, "panic", "so it is"))
            .await;
        assert_eq!(exit.how, Some(exit::How::Code(1)));
        let failed = exit.failure.unwrap();
        assert_eq!(failed.kind(), failure::Kind::Panic);
        assert_eq!(failed.message, "so it is");
        assert!(failed.location.contains("functions.rs:"), "{failed:?}");
        assert!(output.contains("so it is"), "{output}");
        let (output, exit) = client.output_of(function(&template, "fail", ())).await;
        assert_eq!(exit.how, Some(exit::How::Code(1)));
        let failed = exit.failure.unwrap();
        assert_eq!(failed.kind(), failure::Kind::Error);
        assert_eq!(failed.message, "the work failed");
        assert_eq!(failed.chain, ["the disk is full"]);
        assert!(output.starts_with("Error: the work failed\n"), "{output}");
        assert!(output.contains("the disk is full"), "{output}");
        let (_, exit) = client.output_of(function(&template, "abort", ())).await;
        assert!(matches!(
            exit.how,
            Some(exit::How::Signaled(Signaled { signal: 6, .. }))
        ));
        let (output, exit) = client.output_of(function(&template, "print", ())).await;
        assert_eq!((output.as_str(), exit.success()), ("no newline", true));
        // The zygote has told which there are: nothing is forked.
        let before = client.status().await.workers.unwrap().started;
        let unknown = client.try_run(function(&template, "nothing", ())).await;
        let problem = refused_field(unknown, "spec.task.function.name");
        assert!(problem.message.contains("there are "), "{problem}");
        let unknown = client.try_run(function("command", "value", ())).await;
        refused_field(unknown, "spec.task.function.name");
        assert_eq!(client.status().await.workers.unwrap().started, before);
    });
}

#[test]
fn main_goes_on_in_a_worker_with_its_own_arguments() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let template = client.test_template(&[]).await;
        let (output, exit) = client
            .output_of(spec::main(&template, &["arguments", "a b", "", "c"]))
            .await;
        assert_eq!((output.as_str(), exit.success()), ("a b||c\n", true));
        // As many as a zygote is executed with room for; and more, which the program, that reads
        // `std::env::args`, does not see.
        let mut many = vec!["arguments"; 4096];
        let (output, exit) = client.output_of(spec::main(&template, &many)).await;
        assert_eq!(output.matches("arguments").count(), 4095);
        assert_eq!(exit.not_applied, Vec::<String>::new());
        many.push("one more");
        let exit = client.exit_of(spec::main(&template, &many)).await;
        assert!(
            exit.not_applied[0].contains("there is room for 4096"),
            "{exit:?}"
        );
        let exit = client.exit_of(spec::main(&template, &["code", "33"])).await;
        assert_eq!(exit.how, Some(exit::How::Code(33)));
        let exit = client.exit_of(spec::main(&template, &["panic"])).await;
        assert_eq!(exit.how, Some(exit::How::Code(101)));
        assert_eq!(exit.failure.unwrap().message, "main panics");
    });
}

#[test]
fn a_zygote_is_executed_without_room_for_arguments_where_there_is_none() {
    // A quarter of the stack's limit is for arguments and environment: 2 MiB.
    let setup = Setup::new().prelude("ulimit -S -s 8192");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        // All of it but 18 KiB, and the room takes 36.
        let value = "x".repeat((2 << 20) / 20 - 18 * 1024 / 20);
        let names: Vec<String> = (0..20).map(|n| format!("LARGE_{n:02}")).collect();
        let mut env: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
        let template = client.test_template(&env).await;
        let exit = client.exit_of(spec::main(&template, &["code", "33"])).await;
        let told = &exit.not_applied[0];
        assert!(told.contains("executed without room"), "{told}");
        assert!(daemon.log().contains("leave no room for arguments"));
        let exit = client.exit_of(function(&template, "code", 5)).await;
        assert_eq!(exit.how, Some(exit::How::Code(5)));
        // What is too large without the room is refused.
        env.push(("MORE", &value));
        let template = client.test_template(&env).await;
        let refusal = refused(client.warm(&template).await, Reason::ZygoteFailed);
        assert!(refusal.message.contains("too long"), "{refusal}");
    });
}

#[test]
fn hooks_that_fail_in_the_worker_are_told() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for (fault, message) in [
            ("after-fork", "can't reopen"),
            ("at-exit", "can't say goodbye"),
        ] {
            let template = client.test_template(&[("TEST_FAULT", fault)]).await;
            let exit = client.exit_of(function(&template, "code", 0)).await;
            assert_eq!(exit.how, Some(exit::How::Code(1)));
            let failed = exit.failure.unwrap();
            assert_eq!(failed.kind(), failure::Kind::Hook);
            assert!(failed.message.contains(message), "{failed:?}");
        }
    });
}

#[test]
fn a_repeated_request_gives_the_same_worker() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let spec = shell("read line; exit 6");
        let (reader, writer) = std::io::pipe().unwrap();
        let queued = client.queue(vec![reader.into()]).await;
        let mut first = spec.clone();
        spec::place(&mut first, queued.descriptors[0], 0);
        let mut one = client.run(first).await;
        let other = daemon.connect().await;
        let mut two = other.run(spec.clone()).await;
        assert_eq!((one.id(), one.pid()), (two.id(), two.pid()));
        assert!(two.pidfd.is_some());
        drop(writer);
        let exit = one.exit().await;
        assert_eq!(exit.how, Some(exit::How::Code(6)));
        assert_eq!(two.exit().await, exit);
        // After its end, too.
        let mut three = client.run(spec.clone()).await;
        assert_eq!((three.id(), three.exit().await), (one.id(), exit));
        // Another start under the same id is a mistake.
        let wrong = WorkerSpec {
            request_id: spec.request_id,
            ..shell("exit 7")
        };
        refused_field(client.try_run(wrong).await, "spec.request_id");
        assert_eq!(client.status().await.workers.unwrap().started, 1);
    });
}

#[test]
fn requests_repeated_at_once_give_one_worker() {
    check(Setup::new(), async |daemon| {
        let (one, two) = (daemon.connect().await, daemon.connect().await);
        // The first while the template is still cold.
        for _ in 0..20 {
            let spec = shell("exit 8");
            let (a, b, c) = tokio::join!(
                one.try_run(spec.clone()),
                two.try_run(spec.clone()),
                one.try_run(spec)
            );
            let (mut a, mut b, mut c) = (a.unwrap(), b.unwrap(), c.unwrap());
            assert!(a.id() == b.id() && b.id() == c.id());
            for run in [&mut a, &mut b, &mut c] {
                assert_eq!(run.exit().await.exitcode(), 8);
            }
        }
        assert_eq!(one.status().await.workers.unwrap().started, 20);
    });
}

#[test]
fn a_request_that_gave_no_worker_may_be_repeated() {
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        let missing = daemon.path("appears");
        let spec = command(&[missing.to_str().unwrap()]);
        refused(client.try_run(spec.clone()).await, Reason::ExecFailed);
        std::os::unix::fs::symlink("/bin/true", &missing).unwrap();
        assert!(client.exit_of(spec).await.success());
        let totals = client.status().await.workers.unwrap();
        assert_eq!((totals.started, totals.failed, totals.running), (1, 1, 0));
    });
}

#[test]
fn wrong_requests_name_the_field() {
    type Change = fn(&mut WorkerSpec);
    let cases: &[(&str, Change)] = &[
        ("spec.request_id", |s| s.request_id.clear()),
        ("spec.request_id", |s| s.request_id = vec![1; 65]),
        ("spec.name", |s| s.name = "n".repeat(257)),
        ("spec.template", |s| s.template.clear()),
        ("spec.task", |s| s.task = None),
        ("spec.task.command.program", |s| *s = command(&[""])),
        ("spec.task.command.args", |s| {
            *s = command(&["true", "a\0b"])
        }),
        ("spec.task.function.name", |s| {
            *s = function("command", "", ())
        }),
        ("spec.on_owner_death", |s| s.on_owner_death = 77),
        ("spec.time_limit", |s| s.time_limit = millis(0)),
        ("spec.grace", |s| {
            s.grace = Some(prost_types::Duration {
                seconds: -1,
                nanos: 0,
            });
        }),
        ("spec.state.umask", |s| {
            s.state.as_mut().unwrap().umask = Some(0o1000)
        }),
        ("spec.state.nice", |s| {
            s.state.as_mut().unwrap().nice = Some(-21)
        }),
        ("spec.state.cwd_path", |s| {
            s.state.as_mut().unwrap().cwd_path = Some(b"/\0".to_vec());
        }),
        ("spec.state.env", |s| {
            s.state.as_mut().unwrap().env = vec![spec::set("A=B", "c")];
        }),
        ("spec.state.blocked_signals", |s| {
            s.state.as_mut().unwrap().blocked_signals = vec![65];
        }),
        ("spec.state.ignored_signals", |s| {
            s.state.as_mut().unwrap().ignored_signals = vec![0];
        }),
        ("spec.state.affinity", |s| {
            s.state.as_mut().unwrap().affinity = vec![99_999]
        }),
        ("spec.state.rlimits", |s| {
            s.state.as_mut().unwrap().rlimits = vec![v1::Rlimit {
                resource: 7,
                soft: 2,
                hard: 1,
            }];
        }),
        ("spec.state.controlling_terminal", |s| {
            s.state.as_mut().unwrap().controlling_terminal = true;
        }),
    ];
    check(Setup::new(), async |daemon| {
        let client = daemon.connect().await;
        for (field, change) in cases {
            let mut spec = shell("exit 0");
            change(&mut spec);
            refused_field(client.try_run(spec).await, field);
        }
        let request = v1::RunWorkerRequest { spec: None };
        refused_field(client.workers().run_worker(request).await, "spec");
        // Nothing was started, and a refused request is no failed start of a template's.
        assert!(client.list_workers(true).await.is_empty());
    });
}
