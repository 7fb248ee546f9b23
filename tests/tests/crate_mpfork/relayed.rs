//! The crate through a relay of bytes, where descriptors do not pass.

use super::common::{Server, check_daemon, context};
use super::user::run;
use mpfork::{Context, Error, Fd, Reason, Stdio};
use mpfork_tests::harness::relay::Relay;
use mpfork_tests::harness::{eventually, process as seen};
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

/// Runs ordinary code with a context whose daemon is behind a relay.
fn check(test: impl FnOnce(&Context, &Relay, &Path) + Send) {
    check_daemon(async |daemon| {
        let relay = Relay::new(daemon.folder().path(), daemon.socket());
        let (ctx, folder) = (context(relay.socket()), daemon.folder().path());
        std::thread::scope(|scope| {
            let test = scope.spawn(|| test(&ctx, &relay, folder));
            if let Err(panic) = test.join() {
                std::panic::resume_unwind(panic);
            }
        });
    });
}

fn reversed(text: String) -> String {
    text.chars().rev().collect()
}

fn hang() {
    loop {
        std::thread::park();
    }
}

#[test]
fn functions_get_their_arguments_and_give_their_results() {
    check(|ctx, _, _| {
        assert!(!ctx.server().unwrap().descriptors);
        for size in [0, 1, 60_000, 65_536, 65_537, 3 << 20] {
            let text = "ab".repeat(size / 2);
            let result = ctx.spawn(reversed, text).unwrap().join().unwrap();
            assert_eq!((result.len(), result.ends_with('b')), (size / 2 * 2, false));
        }
        let fails = |_: u8| -> Result<u8, std::io::Error> { Err(std::io::Error::other("no")) };
        let error = ctx.spawn(fails, 1).unwrap().join().unwrap_err();
        let Error::Worker(error) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(error.failure.as_ref().unwrap().message, "no");
        let typed = |n: u8| -> Result<u8, String> { Err(format!("{n} is wrong")) };
        let result = ctx.spawn(mpfork::typed(typed), 7).unwrap().join().unwrap();
        assert_eq!(result, Err("7 is wrong".to_owned()));
        let panics = |_: ()| -> u8 { panic!("so it is") };
        let error = ctx.spawn(panics, ()).unwrap().join().unwrap_err();
        assert!(error.to_string().contains("so it is"), "{error}");
    });
}

#[test]
fn descriptors_within_values_are_refused() {
    check(|ctx, _, _| {
        let file = || Fd(File::open("/dev/null").unwrap());
        let error = ctx.spawn(|_: Fd<File>| (), file()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains("arguments"), "{error}");
        let open = || File::open("/dev/null").map(Fd);
        let error = ctx.spawn(open, ()).unwrap().join().unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{error:?}");
        assert!(error.to_string().contains("did not come"), "{error}");
    });
}

#[test]
fn what_does_not_fit_a_message_is_refused_by_name() {
    check(|ctx, _, _| {
        let error = ctx.spawn(reversed, "x".repeat(5 << 20)).unwrap_err();
        assert_eq!(error.reason(), Some(Reason::LimitReached), "{error}");
        let file = File::open("/dev/null").unwrap();
        let error = ctx.command("true").pass_fd(file, 5).start().unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains("descriptor 5"), "{error}");
        assert_eq!(
            ctx.spawn(reversed, "fits".to_owned())
                .unwrap()
                .join()
                .unwrap(),
            "stif"
        );
    });
}

#[test]
fn processes_are_watched_signalled_and_waited_for() {
    check(|ctx, _, folder| {
        let mut p = ctx.process(hang, ()).name("hangs").start().unwrap();
        assert!(p.is_alive());
        assert_eq!(p.join(Some(Duration::from_millis(20))).unwrap(), None);
        assert_eq!(p.exitcode(), None);
        p.terminate().unwrap();
        // The sentinel tells the end, whoever waits.
        let sentinel = p.sentinel();
        poll(&mut [PollFd::new(&sentinel, PollFlags::IN)], None).unwrap();
        assert!(!p.is_alive());
        assert_eq!(p.exitcode(), Some(-15));
        p.kill().unwrap();
        p.close().unwrap();
        let mut p = ctx
            .process(|| std::process::ExitCode::from(9), ())
            .start()
            .unwrap();
        assert_eq!(p.join(None).unwrap().unwrap().exitcode(), 9);
        // The working directory goes by its path.
        let mut pwd = ctx
            .command("pwd")
            .current_dir(folder)
            .stdout(Stdio::piped());
        pwd = pwd.env("MARK", "1");
        let mut pwd = pwd.start().unwrap();
        let told = std::io::read_to_string(pwd.take_stdout().unwrap()).unwrap();
        assert_eq!(Path::new(told.trim()), folder.canonicalize().unwrap());
        let error = ctx.command("/no/such/program").start().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ExecFailed));
    });
}

#[test]
fn pipes_and_files_are_relayed_to_the_byte_without_anybody_waiting_in_the_crate() {
    check(|ctx, _, folder| {
        let sent: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
        let mut cat = ctx.command("cat");
        cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cat = cat.start().unwrap();
        let (mut stdin, mut stdout) = (cat.take_stdin().unwrap(), cat.take_stdout().unwrap());
        let mut read = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stdin.write_all(&sent).unwrap();
                drop(stdin);
            });
            stdout.read_to_end(&mut read).unwrap();
        });
        assert!(read == sent, "{} bytes", read.len());
        assert_eq!(cat.join(None).unwrap().unwrap().exitcode(), 0);
        let (from, to) = (folder.join("from"), folder.join("to"));
        std::fs::write(&from, &sent).unwrap();
        let mut cat = ctx.command("cat");
        cat = cat
            .stdin(File::open(&from).unwrap())
            .stdout(File::create(&to).unwrap());
        let mut cat = cat.start().unwrap();
        assert!(cat.join(None).unwrap().unwrap().success());
        // All of it is there when the end is told.
        assert!(std::fs::read(&to).unwrap() == sent);
    });
}

#[test]
fn input_that_is_only_inherited_is_the_null_device() {
    check(|ctx, _, _| {
        let mut ls = ctx.command("readlink").arg("/proc/self/fd/0");
        ls = ls.stdout(Stdio::piped());
        let mut ls = ls.start().unwrap();
        let told = std::io::read_to_string(ls.take_stdout().unwrap()).unwrap();
        assert_eq!(told, "/dev/null\n");
    });
}

#[test]
fn a_reader_that_goes_away_does_not_hold_up_the_worker() {
    check(|ctx, _, _| {
        let mut seq = ctx.command("seq").arg("300000").stdout(Stdio::piped());
        seq = seq.stderr(Stdio::null());
        let mut seq = seq.start().unwrap();
        drop(seq.take_stdout());
        assert!(seq.join(None).unwrap().unwrap().success());
    });
}

#[test]
fn a_relay_that_breaks_ends_the_worker_and_is_told() {
    check(|ctx, relay, _| {
        let mut p = ctx.process(hang, ()).start().unwrap();
        let pid = p.pid();
        relay.cut();
        let error = p.join(None).unwrap_err();
        assert!(matches!(error, Error::ServerLost { .. }), "{error:?}");
        assert!(!p.is_alive());
        assert!(p.exitcode().is_some());
        eventually("its worker ends", || (!seen::lives(pid)).then_some(()));
        // The next one connects anew.
        assert_eq!(
            ctx.spawn(reversed, "ab".to_owned())
                .unwrap()
                .join()
                .unwrap(),
            "ba"
        );
    });
}

#[test]
fn async_code_needs_no_thread_to_drive_it() {
    check_daemon(async |daemon| {
        let relay = Relay::new(daemon.folder().path(), daemon.socket());
        let ctx = context(relay.socket());
        let calls = (0..8).map(|n| {
            let ctx = ctx.clone();
            async move {
                let call = ctx.spawn_async(reversed, format!("{n}x")).await.unwrap();
                assert_eq!(call.join_async().await.unwrap(), format!("x{n}"));
            }
        });
        for call in calls {
            call.await;
        }
        let mut p = ctx.process(hang, ()).start_async().await.unwrap();
        p.kill().unwrap();
        assert_eq!(p.join_async().await.unwrap().exitcode(), -9);
    });
}

#[test]
fn workers_whose_output_nobody_reads_hold_up_nobody_else() {
    check(|ctx, _, _| {
        // More than one connection's flow control could hold.
        let stuck: Vec<_> = (0..12)
            .map(|_| {
                let seq = ctx.command("seq").arg("2000000").stdout(Stdio::piped());
                seq.start().unwrap()
            })
            .collect();
        assert_eq!(
            ctx.spawn(reversed, "ab".to_owned())
                .unwrap()
                .join()
                .unwrap(),
            "ba"
        );
        for mut seq in stuck {
            assert!(seq.is_alive());
            let mut read = String::new();
            let mut output = seq.take_stdout().unwrap();
            output.read_to_string(&mut read).unwrap();
            assert!(read.ends_with("\n1999999\n2000000\n"));
            assert!(seq.join(None).unwrap().unwrap().success());
        }
    });
}

/// Runs `test-user` behind a relay.
fn run_user(words: &[&str]) {
    check(|ctx, relay, folder| {
        let server = Server {
            ctx: ctx.clone(),
            socket: relay.socket().to_owned(),
            folder: folder.to_owned(),
        };
        run(&server, words);
    });
}

#[test]
fn a_forked_child_that_lives_on_hides_no_end_and_may_wait_too() {
    run_user(&["relayed-fork"]);
}

#[test]
fn output_that_nobody_reads_does_not_end_a_program_by_sigpipe() {
    run_user(&["relayed-sigpipe"]);
}
