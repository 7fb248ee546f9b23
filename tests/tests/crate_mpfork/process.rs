//! `Process`.

use super::common::{Server, check};
use super::user::{LONG, fifo, hang_at};
use mpfork::{Error, Process, StartMethod, Stdio};
use mpfork_tests::harness::{eventually, process as seen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn hanging(server: &Server) -> (Process, PathBuf) {
    let gate = fifo(&server.folder);
    let process = server.ctx.process(hang_at, gate.clone()).start().unwrap();
    (process, gate)
}

/// How many of them have ended; waits until one has.
fn poll_all(processes: &[&Process], limit: Duration) -> Vec<bool> {
    let mut polled: Vec<_> = processes
        .iter()
        .map(|process| PollFd::new(*process, PollFlags::IN))
        .collect();
    let limit = Timespec {
        tv_sec: limit.as_secs().try_into().unwrap(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit))).unwrap();
    let ended = polled.iter();
    ended
        .map(|fd| fd.revents().contains(PollFlags::IN))
        .collect()
}

#[test]
fn it_tells_what_it_is() {
    check(|server| {
        let gate = fifo(&server.folder);
        let builder = server.ctx.process(hang_at, gate.clone());
        let mut process = builder.name("w1").daemon(true).start().unwrap();
        assert_eq!(process.name(), "w1");
        assert!(process.daemon());
        assert_eq!(process.start_method(), StartMethod::ForkServer);
        assert_eq!(process.server(), server.ctx.server().unwrap());
        assert_eq!(process.server().socket.as_ref(), Some(&server.socket));
        assert!(process.server().version.starts_with("mpforkd"));
        assert!(seen::lives(process.pid()));
        assert!(process.is_alive());
        assert_eq!((process.exitcode(), process.exit()), (None, None));
        let (other, other_gate) = hanging(server);
        assert_ne!(other.id(), process.id());
        assert_eq!(other.name(), format!("Process-{}", other.id().counter));
        assert!(!other.daemon());
        for gate in [gate, other_gate] {
            std::fs::write(gate, "").unwrap();
        }
        process.join(None).unwrap();
        assert!(!process.is_alive());
        assert_eq!(process.exitcode(), Some(0));
        poll_all(&[&other], LONG);
        assert_eq!(other.exitcode(), Some(0));
    });
}

#[test]
fn it_is_joined_within_a_time() {
    check(|server| {
        let (mut process, gate) = hanging(server);
        let begun = Instant::now();
        let limit = Duration::from_millis(50);
        assert_eq!(process.join(Some(limit)).unwrap(), None);
        assert!(begun.elapsed() >= limit);
        assert_eq!(process.join(Some(Duration::ZERO)).unwrap(), None);
        std::fs::write(gate, "").unwrap();
        let exit = process.join(Some(LONG)).unwrap().unwrap();
        assert!(exit.success() && exit.run_time() >= limit);
        assert!(exit.usage().is_some());
        // Again and again.
        assert_eq!(process.join(None).unwrap(), Some(exit.clone()));
        assert_eq!(process.join(Some(Duration::ZERO)).unwrap(), Some(exit));
    });
}

#[test]
fn the_exit_code_is_there_once_the_sentinel_is_readable() {
    check(|server| {
        for round in 0..150_u8 {
            let code = |n: u8| std::process::ExitCode::from(n);
            let process = server.ctx.process(code, round).start().unwrap();
            assert_eq!(poll_all(&[&process], LONG), [true]);
            assert_eq!(process.exitcode(), Some(i32::from(round)));
            assert!(!process.is_alive());
        }
        // The same without waiting in the kernel.
        for round in 0..50_u8 {
            let code = |n: u8| std::process::ExitCode::from(n);
            let process = server.ctx.process(code, round).start().unwrap();
            while process.is_alive() {
                std::hint::spin_loop();
            }
            assert_eq!(process.exitcode(), Some(i32::from(round)));
        }
    });
}

#[test]
fn sentinels_are_polled_together() {
    check(|server| {
        let mut running: Vec<_> = (0..6).map(|_| hanging(server)).collect();
        while let Some((last, _)) = running.last() {
            let processes: Vec<_> = running.iter().map(|(process, _)| process).collect();
            let none = poll_all(&processes, Duration::ZERO);
            assert!(none.iter().all(|ended| !ended));
            last.kill().unwrap();
            let mut expected = vec![false; processes.len()];
            expected[processes.len() - 1] = true;
            assert_eq!(poll_all(&processes, LONG), expected);
            assert_eq!(last.exitcode(), Some(-9));
            running.pop();
        }
    });
}

#[test]
fn it_is_ended_by_signals() {
    check(|server| {
        let (mut terminated, _) = hanging(server);
        terminated.terminate().unwrap();
        terminated.join(None).unwrap();
        assert_eq!(terminated.exitcode(), Some(-15));
        let (mut killed, _) = hanging(server);
        killed.kill().unwrap();
        assert_eq!(killed.join(None).unwrap().unwrap().signal(), Some(9));
        let (mut signalled, _) = hanging(server);
        assert!(matches!(signalled.signal(4711), Err(Error::System { .. })));
        signalled.signal(10).unwrap();
        signalled.join(None).unwrap();
        assert_eq!(signalled.exitcode(), Some(-10));
        // Nothing happens to what has ended, nor to who got its pid.
        for process in [&terminated, &killed, &signalled] {
            process.terminate().unwrap();
            process.kill().unwrap();
        }
        assert_eq!(terminated.exitcode(), Some(-15));
    });
}

#[test]
fn it_is_not_closed_while_it_runs() {
    check(|server| {
        let (process, _gate) = hanging(server);
        let pid = process.pid();
        let error = process.close().unwrap_err();
        assert!(matches!(error, Error::StillRunning), "{error:?}");
        assert!(seen::lives(pid), "it is left running");
        let mut ended = server.ctx.process(|| (), ()).start().unwrap();
        ended.join(None).unwrap();
        ended.close().unwrap();
        let unasked = server.ctx.process(|| (), ()).start().unwrap();
        poll_all(&[&unasked], LONG);
        unasked.close().unwrap();
        seen::kill(pid);
    });
}

#[test]
fn dropping_it_leaves_it_running() {
    check(|server| {
        let (process, gate) = hanging(server);
        let pid = process.pid();
        drop(process);
        let call = server
            .ctx
            .spawn(super::user::wait_for, gate.clone())
            .unwrap();
        let called = call.process().pid();
        drop(call);
        // Other calls on the same connection do not end them either.
        server.ctx.spawn(|| (), ()).unwrap().join().unwrap();
        assert!(seen::lives(pid) && seen::lives(called));
        let done = server.folder.join("done");
        let note = |path: PathBuf| std::fs::write(path, "done");
        server.ctx.process(note, done.clone()).start().unwrap();
        eventually("a dropped process goes on", || done.exists().then_some(()));
        seen::kill(pid);
        seen::kill(called);
    });
}

#[test]
fn a_time_limit_ends_it() {
    check(|server| {
        let limit = Duration::from_millis(60);
        let gate = fifo(&server.folder);
        let builder = server.ctx.process(hang_at, gate);
        let mut process = builder.time_limit(limit).start().unwrap();
        let exit = process.join(None).unwrap().unwrap();
        assert_eq!((exit.timed_out(), exit.signal()), (Some(limit), Some(15)));
        assert!(!exit.success());
    });
}

fn shout() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    println!("{}", text.to_uppercase());
    print!("{} bytes, no line break", text.len());
    eprint!("done");
    Ok(())
}

#[test]
fn its_standard_streams_may_be_pipes() {
    check(|server| {
        let builder = server.ctx.process(shout, ());
        let builder = builder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = builder.stderr(Stdio::piped()).start().unwrap();
        let mut stdin = process.take_stdin().unwrap();
        assert!(process.take_stdin().is_none());
        stdin.write_all(b"some text").unwrap();
        drop(stdin);
        let (mut out, mut err) = (String::new(), String::new());
        let mut stdout = process.take_stdout().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        let mut stderr = process.take_stderr().unwrap();
        stderr.read_to_string(&mut err).unwrap();
        assert_eq!(out, "SOME TEXT\n9 bytes, no line break");
        assert_eq!(err, "done");
        process.join(None).unwrap();
        assert_eq!(process.exitcode(), Some(0));
    });
}

#[test]
fn what_it_leaves_behind_is_told_and_ended() {
    check(|server| {
        let leave = |time: String| -> std::io::Result<()> {
            let mut sleep = std::process::Command::new("/bin/sleep");
            sleep.arg(time).spawn().map(drop)
        };
        let builder = server.ctx.process(leave, "600".to_owned());
        let mut process = builder.stdout(Stdio::null()).start().unwrap();
        let exit = process.join(None).unwrap().unwrap();
        let leftovers: Vec<_> = exit.leftovers().collect();
        let [(pid, "sleep")] = leftovers[..] else {
            panic!("{leftovers:?}");
        };
        eventually("it is gone", || (!seen::lives(pid)).then_some(()));
    });
}
