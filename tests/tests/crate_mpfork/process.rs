//! `Process`.

use super::common::{Server, check};
use super::user::{LONG, fifo, hang_at};
use mpfork::{Process, StartMethod};
use mpfork_tests::harness::{eventually, process as seen};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::path::PathBuf;
use std::time::Duration;

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
