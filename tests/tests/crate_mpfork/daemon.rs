//! What a program sees of a daemon that is not there, goes, or comes back.

use super::common::{check, check_daemon, context};
use super::user::{fifo, hang_at, lines, wait_for};
use mpfork::api::block_on;
use mpfork::{Error, OnOwnerDeath, Stdio};
use mpfork_tests::harness::{Setup, eventually, process as seen};
use rustix::process::Signal;
use std::io::Read as _;
use std::path::PathBuf;

#[test]
fn a_restarted_daemon_is_used_without_further_ado() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        assert_eq!(ctx.spawn(|n: u8| n, 1).unwrap().join().unwrap(), 1);
        let first = ctx.server().unwrap();
        assert_eq!(first.pid, daemon.pid());
        daemon.finish();
        let error = ctx.spawn(|n: u8| n, 1).unwrap_err();
        assert!(
            matches!(error, Error::NoServer(_) | Error::ServerLost { .. }),
            "{error:?}"
        );
        let next = Setup::within(daemon.folder()).start();
        assert_eq!(ctx.spawn(|n: u8| n, 2).unwrap().join().unwrap(), 2);
        let second = ctx.server().unwrap();
        assert_ne!(first.instance, second.instance);
        // Killed, and replaced before anything is asked again.
        drop(next.kill());
        let last = Setup::within(daemon.folder()).start();
        let mut process = ctx.process(|| (), ()).start().unwrap();
        assert!(process.join(None).unwrap().unwrap().success());
        assert_ne!(process.server().instance, second.instance);
        last.finish();
    });
}

#[test]
fn a_template_that_somebody_removed_is_registered_again() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        ctx.spawn(|| (), ()).unwrap().join().unwrap();
        let client = daemon.connect().await;
        let digest = super::preloads::own_template(&client).await.digest;
        client.remove(&digest).await.unwrap();
        assert_eq!(ctx.spawn(|n: u8| n, 3).unwrap().join().unwrap(), 3);
        assert_eq!(super::preloads::own_template(&client).await.digest, digest);
    });
}

fn hang_and_note(gate: PathBuf, note: PathBuf) -> std::io::Result<()> {
    let said = wait_for(gate)?;
    std::fs::write(note, said)
}

#[test]
fn a_killed_daemon_is_told_and_its_workers_go_on() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        let folder = daemon.folder().path();
        let (gate, note) = (fifo(folder), folder.join("note"));
        let builder = ctx.process(hang_and_note, (gate.clone(), note.clone()));
        let mut process = builder.start().unwrap();
        let other = fifo(folder);
        let kept = ctx.process(hang_at, other.clone());
        let kept = kept.on_owner_death(OnOwnerDeath::Keep).start().unwrap();
        let call = ctx.spawn(wait_for, other.clone()).unwrap();
        daemon.signal(Signal::KILL);
        eventually("mpforkd is gone", || {
            (!seen::lives(daemon.pid())).then_some(())
        });
        let lost = process.join(None).unwrap_err();
        let Error::ServerLost { socket, asked, .. } = &lost else {
            panic!("{lost:?}");
        };
        assert_eq!((socket.as_path(), *asked), (daemon.socket(), true));
        assert!(process.is_alive() && kept.is_alive() && call.process().is_alive());
        assert_eq!(process.exitcode(), None);
        // They can still be signalled, and end as they would have.
        kept.kill().unwrap();
        call.process().terminate().unwrap();
        assert!(matches!(call.join(), Err(Error::ServerLost { .. })));
        std::fs::write(&gate, "gone on").unwrap();
        eventually("both end", || {
            (!process.is_alive() && !kept.is_alive()).then_some(())
        });
        assert_eq!(lines(&note), ["gone on"]);
        // Where the system tells the status to others than the parent, it is known after all.
        let (code, killed) = (process.exitcode(), kept.exitcode());
        let known = mpfork_sys::pidfd::exit_status(process.sentinel()).is_ok();
        let expected = if known { (0, -9) } else { (255, 255) };
        assert_eq!((code, killed), (Some(expected.0), Some(expected.1)));
        let ended = daemon.ended();
        assert_eq!(ended.how, "signal 9");
    });
}

#[test]
fn a_worker_of_a_daemon_before_is_no_other_daemons() {
    check_daemon(async |daemon| {
        let ctx = context(daemon.socket());
        let gate = fifo(daemon.folder().path());
        let mut process = ctx.process(hang_at, gate).start().unwrap();
        daemon.signal(Signal::KILL);
        eventually("mpforkd is gone", || {
            (!seen::lives(daemon.pid())).then_some(())
        });
        process.kill().unwrap();
        assert_eq!(daemon.ended().how, "signal 9");
        let next = Setup::within(daemon.folder()).start();
        let error = process.join(None).unwrap_err();
        assert!(matches!(error, Error::ServerLost { .. }), "{error:?}");
        ctx.spawn(|| (), ()).unwrap().join().unwrap();
        next.finish();
    });
}

#[test]
fn what_a_worker_starts_comes_from_the_mpforkd_that_made_it() {
    check(|server| {
        // Nothing in the environment leads there.
        let call = server.ctx.process(who_makes, ());
        let call = call.env_clear().stdout(Stdio::piped());
        let mut process = call.start().unwrap();
        let mut text = String::new();
        let mut stdout = process.take_stdout().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        process.join(None).unwrap();
        assert_eq!(text, format!("{:?}", Some(&server.socket)));
    });
}

fn who_makes(_: ()) {
    let server = mpfork::get_context(None).unwrap().server().unwrap();
    print!("{:?}", server.socket);
}

#[test]
fn a_daemon_that_says_nothing_is_an_error_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = block_on(mpfork::api::Client::connect(Some(&path))).unwrap_err();
    assert!(
        error.to_string().contains("did not answer within"),
        "{error}"
    );
    assert!(matches!(error, Error::NoServer(none) if !none.tried[0].absent));
}
