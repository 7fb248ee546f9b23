//! mpforkd at its limits of descriptors: those it may have open, and those its user may have in
//! flight; and what it does with those it was started with.
#![allow(clippy::unwrap_used)]

use mpfork_proto::reason::Reason;
use mpfork_sys::{fdpass, signals};
use mpfork_tests::harness::privileges::give_up_exemptions;
use mpfork_tests::harness::spec::{command, shell, without_streams};
use mpfork_tests::harness::{Setup, check, eventually, eventually_async, process, refused};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

/// Puts some hundreds of descriptors in flight, until this is dropped.
fn in_flight() -> Vec<(UnixStream, UnixStream)> {
    let null = std::fs::File::open("/dev/null").unwrap();
    let pairs = (0..6).map(|_| {
        let (one, other) = UnixStream::pair().unwrap();
        for _ in 0..2 {
            fdpass::send(one.as_fd(), b"x", &[null.as_fd(); 50]).unwrap();
        }
        (one, other)
    });
    pairs.collect()
}

#[test]
fn a_fork_waits_while_too_many_descriptors_are_in_flight() {
    give_up_exemptions();
    check(Setup::new().open_files(400), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let full = in_flight();
        // One whose assignment carries descriptors, and one whose own socket is the only one.
        let start = async {
            tokio::join!(
                client.exit_of(shell("exit 5")),
                client.exit_of(without_streams(shell("exit 5")))
            )
        };
        let meanwhile = async {
            eventually_async("it is being started", async || {
                (client.in_use("workers").await == 2).then_some(())
            })
            .await;
            // mpforkd goes on with everything else, but has not got the fork to its zygote.
            for _ in 0..20 {
                client.status().await;
            }
            assert!(process::children(zygote).is_empty());
            assert_eq!(client.status().await.workers.unwrap().started, 0);
            drop(full);
        };
        let ((one, other), ()) = tokio::join!(start, meanwhile);
        assert_eq!((one.exitcode(), other.exitcode()), (5, 5));
        assert_eq!(client.template("command").await.zygote_pid, zygote);
    });
}

#[test]
fn a_start_that_waits_too_long_for_others_descriptors_is_refused_and_the_zygote_stays() {
    give_up_exemptions();
    let setup = Setup::new()
        .open_files(400)
        .config("[timeouts]\nfork = \"500ms\"");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let full = in_flight();
        for start in [shell("exit 5"), without_streams(shell("exit 5"))] {
            let problem = refused(client.try_run(start).await, Reason::LimitReached);
            assert_eq!(problem.get("limit"), "descriptors in flight of the user");
        }
        drop(full);
        assert_eq!(client.exit_of(shell("exit 6")).await.exitcode(), 6);
        let template = client.template("command").await;
        assert_eq!((template.zygote_pid, template.workers_running), (zygote, 0));
        // What was refused was not started.
        assert_eq!(template.workers_started, 1);
    });
}

#[test]
fn a_spare_that_ends_while_too_many_descriptors_are_in_flight_is_missed_by_nobody() {
    give_up_exemptions();
    let setup = Setup::new()
        .open_files(400)
        .config("[spares]\nmin = 1\n[limits]\nworkers = 1");
    check(setup, async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        eventually_async("there is one", async || {
            (client.template("command").await.spares_idle == 1).then_some(())
        })
        .await;
        let full = in_flight();
        let meanwhile = async {
            eventually_async("a worker is being started", async || {
                (client.in_use("workers").await == 1).then_some(())
            })
            .await;
            for spare in process::children(zygote) {
                process::kill(spare.pid);
            }
            eventually_async("it is reaped", async || {
                process::children(zygote).is_empty().then_some(())
            })
            .await;
            drop(full);
        };
        let (exit, ()) = tokio::join!(client.exit_of(shell("exit 5")), meanwhile);
        assert_eq!(exit.exitcode(), 5);
        assert_eq!(client.in_use("workers").await, 0);
        assert_eq!(client.template("command").await.workers_running, 0);
    });
}

#[test]
fn starts_at_once_without_open_files_are_refused_and_harm_nobody() {
    check(Setup::new().open_files(400), async |daemon| {
        let client = daemon.connect().await;
        client.warm("command").await.unwrap();
        let zygote = client.template("command").await.zygote_pid;
        let mut kept = client.run(command(&["sleep", "600"])).await;
        let idle: Vec<_> = (0..500)
            .map_while(|_| UnixStream::connect(daemon.socket()).ok())
            .take_while(|_| process::open_descriptors(daemon.pid()) < 400)
            .collect();
        eventually("it has no more", || {
            (process::open_descriptors(daemon.pid()) >= 399).then_some(())
        });
        let mut idle = idle.into_iter();
        let mut counts = (0, 0);
        // More and more room, until all are started.
        while counts.0 < 8 {
            counts = (0, 0);
            let start = async || match client.try_run(shell("exit 6")).await {
                Ok(mut run) => {
                    assert_eq!(run.exit().await.exitcode(), 6);
                    true
                }
                Err(status) => {
                    refused::<()>(Err(status), Reason::LimitReached);
                    false
                }
            };
            let started = tokio::join!(
                start(),
                start(),
                start(),
                start(),
                start(),
                start(),
                start(),
                start()
            );
            let (a, b, c, d, e, f, g, h) = started;
            for started in [a, b, c, d, e, f, g, h] {
                counts.0 += u32::from(started);
                counts.1 += u32::from(!started);
            }
            // One at a time.
            idle.next();
        }
        drop(idle);
        assert_eq!(client.template("command").await.zygote_pid, zygote);
        client.signal(kept.id(), 9, false).await.unwrap();
        assert_eq!(kept.exit().await.exitcode(), -9);
    });
}

/// The signals a process has blocked.
fn blocked(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    u64::from_str_radix(blocked.unwrap().trim(), 16).unwrap()
}

/// What a process has open, by its links.
fn open(pid: i32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_mpforkd_was_started_with_is_shed() {
    const SIGCHLD: u64 = 1 << 16;
    // As somebody would who starts it from a process that is in the middle of something: open files,
    // and TERM blocked, by which it is to end.
    let setup = Setup::new().prelude("exec 7</etc/passwd 9</etc/passwd");
    signals::set_mask(&[10, 15, 40]).unwrap();
    check(setup, async |daemon| {
        signals::set_mask(&[]).unwrap();
        assert_eq!(blocked(daemon.pid()), 0);
        assert!(open(daemon.pid()).contains(&"/etc/passwd".to_owned()));
        let client = daemon.connect().await;
        let (run, _) = client
            .run_until_line(shell("echo ready; exec sleep 600"))
            .await;
        let zygote = client.template("command").await.zygote_pid;
        assert_eq!((blocked(zygote), blocked(run.pid())), (SIGCHLD, 0));
        for pid in [zygote, run.pid()] {
            assert!(!open(pid).contains(&"/etc/passwd".to_owned()), "{pid}");
        }
        client.signal(run.id(), 9, true).await.unwrap();
    });
}
