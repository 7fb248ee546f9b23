//! Unusual wishes.

use super::common::check;
use super::user::{fifo, hang_at, run};
use mpfork::{Error, Reason, Stdio};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    check(|server| {
        let long = server.ctx.process(|| (), ()).name("n".repeat(257)).start();
        let Err(Error::Server(problem)) = long else {
            panic!("{long:?}");
        };
        assert_eq!(problem.reason, Reason::BadRequest);
        assert!(problem.get("field").contains("name"), "{problem}");
        let fits = server.ctx.process(|| (), ()).name("n".repeat(256)).start();
        fits.unwrap().join(None).unwrap();
        let nice = server.ctx.process(|| (), ()).nice(77).start().unwrap_err();
        assert_eq!(nice.reason(), Some(Reason::BadRequest), "{nice}");
        let too_large = server.ctx.process_main(["x".repeat(5 << 20)]).start();
        assert_eq!(too_large.unwrap_err().reason(), Some(Reason::LimitReached));
        // The connection is as good as before.
        assert_eq!(server.ctx.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
    });
}

#[test]
fn a_large_environment_arrives() {
    check(|server| {
        let value = "v".repeat(100_000);
        let read = |names: Vec<String>| -> std::io::Result<()> {
            for name in names {
                let value = std::env::var(&name).unwrap();
                assert_eq!(value.len(), 100_000, "{name}");
            }
            Ok(())
        };
        let names: Vec<_> = (0..12).map(|n| format!("LARGE_{n}")).collect();
        let mut builder = server.ctx.process(read, names.clone());
        for name in &names {
            builder = builder.env(name, &value);
        }
        let mut process = builder.start().unwrap();
        let exit = process.join(None).unwrap().unwrap();
        assert!(exit.success(), "{exit:?}");
    });
}

#[test]
fn many_processes_live_at_once() {
    check(|server| {
        let mut running: Vec<_> = (0..120)
            .map(|n| {
                let builder = server.ctx.process(hang_at, fifo(&server.folder));
                builder.name(format!("w{n}")).start().unwrap()
            })
            .collect();
        assert!(running.iter().all(mpfork::Process::is_alive));
        for process in &running {
            process.terminate().unwrap();
        }
        for process in &mut running {
            assert_eq!(process.join(None).unwrap().unwrap().signal(), Some(15));
        }
    });
}

#[test]
fn the_calling_threads_signal_mask_is_the_workers() {
    check(|server| {
        use nix::sys::signal::{SigSet, Signal};
        let blocked = || SigSet::thread_get_mask().is_ok_and(|mask| mask.contains(Signal::SIGUSR2));
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGUSR2);
        let before = mask.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
        assert!(server.ctx.spawn(blocked, ()).unwrap().join().unwrap());
        before.unwrap().thread_set_mask().unwrap();
        assert!(!server.ctx.spawn(blocked, ()).unwrap().join().unwrap());
    });
}

#[test]
fn descriptors_take_the_numbers_they_are_given() {
    check(|server| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"in the file").unwrap();
        file.rewind().unwrap();
        let script = "cat <&9; cat; echo to three >&3";
        let (mut reader, writer) = std::io::pipe().unwrap();
        let command = server.ctx.command("sh").args(["-c", script]);
        let command = command.pass_fd(file.try_clone().unwrap(), 9);
        let command = command.stdin(File::open("/dev/null").unwrap());
        let command = command.pass_fd(writer, 3).stdout(Stdio::piped());
        let mut command = command.start().unwrap();
        let (mut out, mut three) = (String::new(), String::new());
        let mut stdout = command.take_stdout().unwrap();
        stdout.read_to_string(&mut out).unwrap();
        reader.read_to_string(&mut three).unwrap();
        assert_eq!(
            (out.as_str(), three.as_str()),
            ("in the file", "to three\n")
        );
        command.join(None).unwrap();
        // The same descriptor under two numbers, one of them a standard stream's.
        let command = server.ctx.command("sh").args(["-c", "echo a; echo b >&5"]);
        let command = command.stdout(file.try_clone().unwrap());
        let mut command = command
            .pass_fd(file.try_clone().unwrap(), 5)
            .start()
            .unwrap();
        assert!(command.join(None).unwrap().unwrap().success());
        file.seek(std::io::SeekFrom::Start(11)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    });
}

#[test]
fn what_could_not_be_applied_is_told() {
    check(|server| {
        let builder = server.ctx.process(|| (), ());
        // More open files than the kernel allows anybody.
        let mut process = builder.rlimit(7, 1 << 40, 1 << 40).start().unwrap();
        let exit = process.join(None).unwrap().unwrap();
        assert!(exit.success());
        let [why] = exit.not_applied() else {
            panic!("{exit:?}");
        };
        assert!(why.starts_with("limit 7 to 1099511627776"), "{why}");
    });
}

#[test]
fn a_directory_that_was_removed_is_still_the_workers() {
    check(|server| {
        run(
            server,
            &["removed-directory", server.folder.to_str().unwrap()],
        );
    });
}

#[test]
fn a_wait_may_be_endless() {
    check(|server| {
        let mut process = server.ctx.process(|| (), ()).start().unwrap();
        assert!(process.join(Some(Duration::MAX)).unwrap().is_some());
        let mut call = server.ctx.spawn(|| 3, ()).unwrap();
        assert_eq!(call.join_timeout(Duration::MAX).unwrap(), Some(3));
    });
}

/// Several waiters of one process, and its exit asked for meanwhile.
#[test]
fn an_exit_is_told_to_whoever_asks() {
    check(|server| {
        let gate = fifo(&server.folder);
        let process = server.ctx.process(hang_at, gate.clone()).start().unwrap();
        let client = mpfork::api::Client::connect(Some(&server.socket));
        let client = mpfork::api::block_on(client).unwrap();
        std::thread::scope(|scope| {
            let asks = || mpfork::api::block_on(client.wait_worker(process.id(), None));
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(asks)).collect();
            let polls =
                scope.spawn(|| mpfork_tests::harness::eventually("it ends", || process.exitcode()));
            std::fs::write(&gate, "").unwrap();
            assert_eq!(polls.join().unwrap(), 0);
            for waiter in waiting {
                assert!(waiter.join().unwrap().unwrap().unwrap().success());
            }
        });
        assert_eq!(process.exitcode(), Some(0));
    });
}
