//! Unusual wishes.

use super::common::check;
use super::user::{fifo, hang_at, run};
use mpfork::Stdio;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

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
fn a_directory_that_was_removed_is_still_the_workers() {
    check(|server| {
        run(
            server,
            &["removed-directory", server.folder.to_str().unwrap()],
        );
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
